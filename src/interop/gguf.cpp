// GGUF version 3 for llama.cpp, architecture gpt2: ggml/docs/gguf.md, and the keys that llama.cpp's loader
// asks for.
//
// The tokenizer is "t5" (unigram): the one of llama.cpp's that takes every known character as one token and
// an unknown one as <unk>. It stores a space as U+2581, so a U+2581 of our own vocabulary keeps its id but no
// longer its text.
#include <string>
#include <string_view>
#include <vector>

#include "interop/model_source.h"
#include "interop/tensor_views.h"
#include "io/coding.h"
#include "text/utf8.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

using namespace interop;

constexpr std::int64_t kAlignment = 32;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

enum ValueType : std::uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };
enum TensorType : std::uint32_t { kTensorF32 = 0, kTensorF16 = 1 };
enum TokenType : std::uint32_t { kNormal = 1, kUnknown = 2, kControl = 3 };

std::int64_t align_up(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void put_string(ByteWriter& out, std::string_view text) {
  out.put(std::uint64_t{text.size()});
  out.put_bytes(std::as_bytes(std::span(text)));
}

// The key-value pairs, counted.
class Metadata {
 public:
  void put(std::string_view key, std::int64_t value) {
    begin(key, kU32);
    bytes_.put(static_cast<std::uint32_t>(value));
  }
  void put(std::string_view key, std::string_view value) {
    begin(key, kString);
    put_string(bytes_, value);
  }
  void put_real(std::string_view key, float value) {
    begin(key, kF32);
    bytes_.put(std::bit_cast<std::uint32_t>(value));
  }
  void put_bool(std::string_view key, bool value) {
    begin(key, kBool);
    bytes_.put(static_cast<std::uint8_t>(value));
  }
  // Calls `put_element(bytes, i)` for each element.
  template <class PutElement>
  void put_array(std::string_view key, ValueType type, std::int64_t count, PutElement put_element) {
    begin(key, kArray);
    bytes_.put(static_cast<std::uint32_t>(type));
    bytes_.put(static_cast<std::uint64_t>(count));
    for (std::int64_t i = 0; i < count; ++i) put_element(bytes_, static_cast<std::int32_t>(i));
  }
  std::uint64_t count() const { return count_; }
  std::span<const std::byte> bytes() const { return bytes_.bytes(); }

 private:
  void begin(std::string_view key, ValueType type) {
    put_string(bytes_, key);
    bytes_.put(static_cast<std::uint32_t>(type));
    ++count_;
  }
  ByteWriter bytes_;
  std::uint64_t count_ = 0;
};

void put_model(Metadata& out, const ModelConfig& m, bool is_f16) {
  out.put("general.architecture", std::string_view("gpt2"));
  out.put("general.name", std::string_view("zhgpt"));
  out.put("general.file_type", std::int64_t{is_f16});
  out.put("gpt2.context_length", m.block_size);
  out.put("gpt2.embedding_length", m.n_embd);
  out.put("gpt2.block_count", m.n_layer);
  out.put("gpt2.feed_forward_length", 4 * m.n_embd);
  out.put("gpt2.attention.head_count", m.n_head);
  out.put_real("gpt2.attention.layer_norm_epsilon", 1e-5f);
}

std::string token_text(const Vocabulary& vocab, std::int32_t id) {
  if (id == kUnknownId) return "<unk>";
  if (id == kEndOfTextId) return "<|endoftext|>";
  const std::string text = vocab.text(id);
  if (text == " ") return std::string(kSpaceMark);
  return text == kSpaceMark ? "<U+2581>" : text;
}

TokenType token_type(const Vocabulary& vocab, std::int32_t id) {
  if (id == kUnknownId) return kUnknown;
  return id == kEndOfTextId || vocab.text(id) == kSpaceMark ? kControl : kNormal;
}

void put_tokenizer(Metadata& out, const Vocabulary& vocab) {
  out.put("tokenizer.ggml.model", std::string_view("t5"));
  out.put_array("tokenizer.ggml.tokens", kString, vocab.size(),
                [&](ByteWriter& bytes, std::int32_t id) { put_string(bytes, token_text(vocab, id)); });
  out.put_array("tokenizer.ggml.scores", kF32, vocab.size(), [&](ByteWriter& bytes, std::int32_t id) {
    bytes.put(std::bit_cast<std::uint32_t>(token_type(vocab, id) == kNormal ? -1.0f : 0.0f));
  });
  out.put_array("tokenizer.ggml.token_type", kI32, vocab.size(), [&](ByteWriter& bytes, std::int32_t id) {
    bytes.put(static_cast<std::uint32_t>(token_type(vocab, id)));
  });
  out.put("tokenizer.ggml.unknown_token_id", std::int64_t{kUnknownId});
  for (const char* key : {"bos", "eos", "padding"}) {
    out.put("tokenizer.ggml." + std::string(key) + "_token_id", std::int64_t{kEndOfTextId});
  }
  // Left out, llama.cpp would end every prompt with <|endoftext|> and begin it with a space.
  for (const char* key : {"add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces"}) {
    out.put_bool("tokenizer.ggml." + std::string(key), false);
  }
  out.put_array("tokenizer.ggml.suppress_tokens", kI32, 1,
                [](ByteWriter& bytes, std::int32_t) { bytes.put(std::uint32_t{kUnknownId}); });
}

// h.3.attn.c_attn.bias -> blk.3.attn_qkv.bias
std::string gguf_name(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"wte.", "token_embd."},   {"wpe.", "position_embd."},      {"ln_f.", "output_norm."},
      {".ln_1.", ".attn_norm."}, {".attn.c_attn.", ".attn_qkv."}, {".attn.c_proj.", ".attn_output."},
      {".ln_2.", ".ffn_norm."},  {".mlp.c_fc.", ".ffn_up."},      {".mlp.c_proj.", ".ffn_down."}};
  std::string out = name;
  if (out.starts_with("h.")) out.replace(0, 1, "blk");
  for (const auto& [ours, theirs] : kNames) {
    if (const std::size_t at = out.find(ours); at != std::string::npos)
      return out.replace(at, ours.size(), theirs);
  }
  throw CheckpointError(tr(Msg::interop_not_a_model, name));
}

// Matrices of products may be halved; what llama.cpp adds up in f32 stays f32.
TensorSource stored(const ModelSource& source, const ParameterSpec& spec, DType dtype) {
  const bool is_halved = dtype == DType::f16 && spec.shape.size() == 2 && spec.name != "wpe.weight";
  TensorSource tensor = renamed(source.parameter(spec.name), gguf_name(spec.name));
  return is_halved ? as_f16(std::move(tensor)) : tensor;
}

void write_zeros_until(AtomicFile& file, std::int64_t offset) {
  file.write(std::string(static_cast<std::size_t>(offset - file.written()), '\0'));
}

}  // namespace

void export_gguf(const Snapshot& snapshot, const std::string& path, DType dtype, bool overwrite) {
  const ModelSource source(snapshot);
  std::vector<TensorSource> tensors;
  for (const ParameterSpec& spec : source.table().specs()) tensors.push_back(stored(source, spec, dtype));
  Metadata metadata;
  put_model(metadata, source.model(), dtype == DType::f16);
  put_tokenizer(metadata, source.vocab());

  ByteWriter head;
  head.put_bytes(std::as_bytes(std::span("GGUF", 4)));
  head.put(std::uint32_t{3});
  head.put(std::uint64_t{tensors.size()});
  head.put(metadata.count());
  head.put_bytes(metadata.bytes());
  std::int64_t offset = 0;  // from the beginning of the data
  for (const TensorSource& tensor : tensors) {
    const auto& shape = tensor.info.shape;
    put_string(head, tensor.info.name);
    head.put(static_cast<std::uint32_t>(shape.size()));
    for (auto dim = shape.rbegin(); dim != shape.rend(); ++dim)
      head.put(static_cast<std::uint64_t>(*dim));  // fastest first
    head.put(std::uint32_t{tensor.info.dtype == DType::f16 ? kTensorF16 : kTensorF32});
    head.put(static_cast<std::uint64_t>(offset));
    offset += align_up(tensor.info.bytes());
  }

  const std::int64_t data = align_up(static_cast<std::int64_t>(head.bytes().size()));
  AtomicFile file(path, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse,
                  data + offset);
  file.write(head.bytes());
  write_zeros_until(file, data);
  for (const TensorSource& tensor : tensors) {
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece); });
    write_zeros_until(file, align_up(file.written()));
  }
  file.commit();
}

}  // namespace zhgpt
