// Files of other programs, written here byte by byte and without the code that reads them.
#pragma once

#include <bit>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/sample.h"
#include "support/golden.h"
#include "zhgpt/interop.h"

namespace zhgpt::test {

using Json = nlohmann::ordered_json;

template <class T>
void append(Bytes& bytes, T value) {
  std::uint8_t raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

// A number in a dtype of Hugging Face's; exact for what the tests store: small multiples of 1/64 in the
// halves.
inline void append_number(Bytes& bytes, const std::string& dtype, double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (dtype == "F32") return append(bytes, bits);
  if (dtype == "BF16") return append(bytes, static_cast<std::uint16_t>(bits >> 16));
  // IEEE half: sign, exponent less 112, ten bits of the fraction.
  const std::uint32_t rest = bits & 0x7FFFFFFF;
  append(bytes, static_cast<std::uint16_t>((bits >> 16 & 0x8000) | (rest ? (rest >> 13) - (112u << 10) : 0)));
}

struct ForeignTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<double> values;
};

inline Bytes safetensors_bytes(const std::vector<ForeignTensor>& tensors, const std::string& dtype = "F32") {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  Bytes data;
  for (const ForeignTensor& tensor : tensors) {
    const std::size_t begin = data.size();
    for (const double value : tensor.values) append_number(data, dtype, value);
    header[tensor.name] = {
        {"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", Json::array({begin, data.size()})}};
  }
  std::string text = header.dump();
  while (text.size() % 8 != 0) text += ' ';
  Bytes bytes;
  append(bytes, static_cast<std::uint64_t>(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

inline bool is_conv1d(const std::string& name, std::size_t rank) {
  return rank == 2 &&
         (name.find(".attn.c_") != std::string::npos || name.find(".mlp.c_") != std::string::npos);
}

// The tensors of GPT-2 as transformers names and turns them; value(name, i) is element i of ours, (OC, C).
inline std::vector<ForeignTensor> huggingface_tensors(
    const ModelConfig& m, const std::string& prefix,
    const std::function<double(const std::string&, std::int64_t)>& value) {
  std::vector<ForeignTensor> tensors;
  const std::int64_t C = m.n_embd;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t dim : shape) count *= dim;
    std::vector<double> values(static_cast<std::size_t>(count));
    const bool turned = is_conv1d(name, shape.size());
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = turned ? i % shape[1] * shape[0] + i / shape[1] : i;
      values[static_cast<std::size_t>(at)] = value(name, i);
    }
    if (turned) std::swap(shape[0], shape[1]);
    tensors.push_back({prefix + name, shape, values});
  };
  add("wte.weight", {m.vocab_size, C});
  add("wpe.weight", {m.block_size, C});
  for (std::int64_t l = 0; l < m.n_layer; ++l) {
    const std::string h = "h." + std::to_string(l) + ".";
    for (const char* norm : {"ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"}) add(h + norm, {C});
    add(h + "attn.c_attn.weight", {3 * C, C});
    add(h + "attn.c_attn.bias", {3 * C});
    add(h + "attn.c_proj.weight", {C, C});
    add(h + "attn.c_proj.bias", {C});
    add(h + "mlp.c_fc.weight", {4 * C, C});
    add(h + "mlp.c_fc.bias", {4 * C});
    add(h + "mlp.c_proj.weight", {C, 4 * C});
    add(h + "mlp.c_proj.bias", {C});
  }
  add("ln_f.weight", {C});
  add("ln_f.bias", {C});
  return tensors;
}

inline double golden_value(const std::string& name, std::int64_t i) {
  const bool is_bias = name.ends_with(".bias"), is_norm = !is_bias && name.find("ln_") != std::string::npos;
  const double unit =
      (static_cast<double>(golden_hash(name, static_cast<std::uint32_t>(i)) >> 16) - 32768) / 32768;
  return (is_norm ? 1 : 0) + (is_bias || is_norm ? 0.25 : 0.5) * unit;
}

inline Json huggingface_config(const ModelConfig& m) {
  return {{"model_type", "gpt2"}, {"vocab_size", m.vocab_size}, {"n_positions", m.block_size},
          {"n_embd", m.n_embd},   {"n_layer", m.n_layer},       {"n_head", m.n_head}};
}

// A word list with a character for each id from 2 on, from 一 on.
inline Json character_tokenizer(std::int64_t size) {
  Json vocab = {{"<unk>", 0}, {"<|endoftext|>", 1}};
  for (std::int64_t id = 2; id < size; ++id) {
    const char32_t c = 0x4E00 + static_cast<char32_t>(id - 2);
    const char text[] = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
                         static_cast<char>(0x80 | (c & 63)), 0};
    vocab[text] = id;
  }
  return {{"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "<unk>"}}}};
}

inline void put_text(const std::string& path, const std::string& text) {
  put_file(path, Bytes(text.begin(), text.end()));
}

// A directory as transformers saves it, of the golden model.
struct HuggingfaceDirectory {
  TempDirectory temp;
  std::string path = temp.file("hf");
  HuggingfaceDirectory() {
    std::filesystem::create_directory(path);
    put("config.json", huggingface_config(golden_config()).dump());
    put("tokenizer.json", character_tokenizer(golden_config().vocab_size).dump());
    put_weights(huggingface_tensors(golden_config(), "transformer.", golden_value));
  }
  std::string file(const std::string& name) const { return path + "/" + name; }
  void put(const std::string& name, const std::string& text) const { put_text(file(name), text); }
  void put_weights(const std::vector<ForeignTensor>& tensors, const std::string& dtype = "F32") const {
    put_file(file("model.safetensors"), safetensors_bytes(tensors, dtype));
  }
  void set_config(const char* name, const Json& value) const {
    Json config = huggingface_config(golden_config());
    config[name] = value;
    put("config.json", config.dump());
  }
};

// Why importing fails; "" when it does not.
inline std::string import_refusal(const std::string& path, const std::string& vocabulary = "") {
  try {
    TempDirectory temp;
    save_checkpoint(temp.file("out.bin"), import_model(path, vocabulary).snapshot);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <class T>
std::vector<T> elements(const TensorSource& tensor) {
  std::vector<T> values(static_cast<std::size_t>(tensor.info.bytes()) / sizeof(T));
  tensor.read(0, std::as_writable_bytes(std::span(values)));
  return values;
}

inline const TensorSource& tensor_of(const Snapshot& snapshot, const std::string& name) {
  for (const TensorSource& tensor : snapshot.tensors) {
    if (tensor.info.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

}  // namespace zhgpt::test
