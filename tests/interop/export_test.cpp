// What is written for other programs, read here without the code that wrote it.
#include <gtest/gtest.h>

#include "interop/foreign.h"

namespace zhgpt::test {
namespace {

// A golden model under a vocabulary of its own: <unk>, <|endoftext|>, newline, comma, …, and a space.
Snapshot model_snapshot(std::vector<std::int32_t> vocab = {-1, -2, '\n', 0xFF0C, 0x2026, ' '}) {
  Config config;
  config.model = golden_config();
  config.model.vocab_size = static_cast<std::int64_t>(vocab.size());
  Snapshot snapshot;
  snapshot.step = 41;
  snapshot.config = config.to_key_values();
  snapshot.progress.set_integer("epoch", 3);
  snapshot.vocab = std::move(vocab);
  snapshot.history = "{\"step\": 1}\n";
  const ParameterTable table(config.model);
  for (const SectionKind kind : {SectionKind::parameter, SectionKind::adam_m}) {
    for (const ParameterSpec& spec : table.specs()) {
      std::vector<float> values(static_cast<std::size_t>(spec.numel));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(golden_value(spec.name, static_cast<std::int64_t>(i)));
      }
      snapshot.tensors.push_back(tensor(kind, spec.name, DType::f32, spec.shape, values));
    }
  }
  return snapshot;
}

std::string text_of(const std::string& path) {
  const Bytes bytes = file_bytes(path);
  return {bytes.begin(), bytes.end()};
}

// S5-36. The texts are those that transformers and tokenizers were tried with.
TEST(ExportHuggingface, TheSmallFilesAreAsTransformersWantsThem) {
  const TempDirectory temp;
  const std::string out = temp.file("hf");
  export_huggingface(model_snapshot(), out);
  EXPECT_EQ(TempDirectory().names().size(), 0u);
  const auto compact = [&](const char* name) { return Json::parse(text_of(out + "/" + name)).dump(); };
  EXPECT_EQ(
      compact("tokenizer.json"),
      R"({"version":"1.0","truncation":null,"padding":null,)"
      R"("added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},)"
      R"({"id":1,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],)"
      R"("normalizer":null,)"
      R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[\\s\\S]"},"behavior":"Isolated","invert":false},)"
      R"("post_processor":null,"decoder":{"type":"Fuse"},)"
      R"("model":{"type":"WordLevel","vocab":{"<unk>":0,"<|endoftext|>":1,"\n":2,"，":3,"…":4," ":5},"unk_token":"<unk>"}})");
  EXPECT_EQ(
      compact("tokenizer_config.json"),
      R"({"tokenizer_class":"PreTrainedTokenizerFast","unk_token":"<unk>","bos_token":"<|endoftext|>","eos_token":"<|endoftext|>",)"
      R"("pad_token":"<|endoftext|>","model_max_length":9,"clean_up_tokenization_spaces":false})");
  EXPECT_EQ(
      compact("config.json"),
      R"({"architectures":["GPT2LMHeadModel"],"model_type":"gpt2","vocab_size":6,"n_positions":9,"n_ctx":9,"n_embd":16,)"
      R"("n_layer":2,"n_head":2,"n_inner":null,"activation_function":"gelu_new","layer_norm_epsilon":1e-05,"attn_pdrop":0.0,)"
      R"("embd_pdrop":0.0,"resid_pdrop":0.0,"scale_attn_weights":true,"tie_word_embeddings":true,"bos_token_id":1,)"
      R"("eos_token_id":1,"torch_dtype":"float32"})");
  EXPECT_EQ(compact("generation_config.json"),
            R"({"bos_token_id":1,"eos_token_id":1,"pad_token_id":1,"suppress_tokens":[0]})");
  EXPECT_EQ(
      compact("special_tokens_map.json"),
      R"({"unk_token":"<unk>","bos_token":"<|endoftext|>","eos_token":"<|endoftext|>","pad_token":"<|endoftext|>"})");
  EXPECT_TRUE(contains(text_of(out + "/README.md"), "trained with zhgpt for 41 steps"));
}

// S5-36
TEST(ExportHuggingface, WeightsHaveTransformersNamesAndLayoutAndNothingElse) {
  const TempDirectory temp;
  export_huggingface(model_snapshot(), temp.file("hf"));
  const Bytes bytes = file_bytes(temp.file("hf/model.safetensors"));
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  ASSERT_EQ(header_bytes % 8, 0u);
  const Json header =
      Json::parse(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(header_bytes));
  EXPECT_EQ(header["__metadata__"]["format"], "pt");

  ModelConfig m = golden_config();
  m.vocab_size = 6;
  const auto expected = huggingface_tensors(m, "transformer.", golden_value);
  EXPECT_EQ(header.size(), expected.size() + 1);
  std::size_t end = 0;
  for (const ForeignTensor& tensor : expected) {
    ASSERT_TRUE(header.contains(tensor.name)) << tensor.name;
    const Json& entry = header[tensor.name];
    EXPECT_EQ(entry["dtype"], "F32");
    EXPECT_EQ(entry["shape"], Json(tensor.shape)) << tensor.name;
    std::vector<float> values(tensor.values.size());
    const std::size_t begin = entry["data_offsets"][0];
    ASSERT_EQ(entry["data_offsets"][1].get<std::size_t>() - begin, values.size() * 4);
    std::memcpy(values.data(), bytes.data() + 8 + header_bytes + begin, values.size() * 4);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], static_cast<float>(tensor.values[i])) << tensor.name << i;
    end = std::max(end, entry["data_offsets"][1].get<std::size_t>());
  }
  EXPECT_EQ(bytes.size(), 8 + header_bytes + end);
}

// S5-36
TEST(ExportHuggingface, TakenOverAgainItIsTheSameModel) {
  const TempDirectory temp;
  Snapshot snapshot = model_snapshot();
  export_huggingface(snapshot, temp.file("hf"));
  const Imported imported = import_model(temp.file("hf"), "");
  EXPECT_EQ(imported.snapshot.vocab, snapshot.vocab);
  std::erase_if(snapshot.tensors,
                [](const TensorSource& t) { return t.info.kind != SectionKind::parameter; });
  EXPECT_EQ(state_hash(imported.snapshot), state_hash(snapshot));
}

TEST(ExportHuggingface, ADirectoryAppearsWholeOrNotAtAll) {
  const TempDirectory temp;
  Snapshot broken = model_snapshot();
  broken.tensors[3].read = [](std::int64_t, std::span<std::byte>) { throw IoError("the disk is gone"); };
  EXPECT_THROW(export_huggingface(broken, temp.file("hf")), IoError);
  EXPECT_TRUE(temp.names().empty()) << "nothing is left, no temporary directory either";

  std::filesystem::create_directory(temp.file("full"));
  put_text(temp.file("full/mine.txt"), "mine");
  EXPECT_THROW(export_huggingface(model_snapshot(), temp.file("full")), IoError);
  EXPECT_EQ(text_of(temp.file("full/mine.txt")), "mine");
  put_text(temp.file("a file"), "mine");
  EXPECT_THROW(export_huggingface(model_snapshot(), temp.file("a file")), IoError);
  EXPECT_EQ(text_of(temp.file("a file")), "mine");
  EXPECT_EQ(temp.names(), (std::vector<std::string>{"a file", "full"}));

  std::filesystem::create_directory(temp.file("empty"));
  export_huggingface(model_snapshot(), temp.file("empty/"));
  EXPECT_TRUE(std::filesystem::exists(temp.file("empty/model.safetensors")));
}

TEST(Export, OnlyAWholeModelIsExported) {
  const TempDirectory temp;
  const auto refused = [&](const Snapshot& snapshot) {
    try {
      export_gguf(snapshot, temp.file("out.gguf"), DType::f32, false);
      return std::string();
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
  };
  Snapshot part = model_snapshot();
  std::erase_if(part.tensors, [](const TensorSource& t) { return t.info.name == "wpe.weight"; });
  EXPECT_TRUE(contains(refused(part), "wpe.weight"));
  Snapshot other_vocab = model_snapshot();
  other_vocab.vocab.pop_back();
  EXPECT_TRUE(contains(refused(other_vocab), "vocab_size"));
  EXPECT_NE(refused(sample_snapshot()), "");
  EXPECT_TRUE(temp.names().empty());
}

// A reader of GGUF, from its specification alone.
struct Gguf {
  explicit Gguf(const Bytes& bytes) : bytes_(bytes) {
    EXPECT_EQ(text(4), "GGUF");
    EXPECT_EQ(number<std::uint32_t>(), 3u);
    const auto tensor_count = number<std::uint64_t>(), value_count = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < value_count; ++i) {
      const std::string key = string();
      const auto type = number<std::uint32_t>();
      EXPECT_TRUE(metadata.emplace(key, value(type)).second) << key;
    }
    for (std::uint64_t i = 0; i < tensor_count; ++i) {
      Tensor tensor;
      const std::string name = string();
      tensor.dims.resize(number<std::uint32_t>());
      for (std::uint64_t& dim : tensor.dims) dim = number<std::uint64_t>();
      tensor.type = number<std::uint32_t>();
      tensor.offset = number<std::uint64_t>();
      EXPECT_TRUE(tensors.emplace(name, tensor).second) << name;
    }
    data = (at_ + 31) / 32 * 32;
  }
  struct Tensor {
    std::vector<std::uint64_t> dims;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
  };
  std::map<std::string, Json> metadata;
  std::map<std::string, Tensor> tensors;
  std::size_t data = 0;

 private:
  template <class T>
  T number() {
    T value{};
    if (at_ + sizeof value > bytes_.size()) throw std::runtime_error("GGUF ends early");
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text(std::uint64_t size) {
    std::string out;
    for (std::uint64_t i = 0; i < size; ++i) out += static_cast<char>(number<std::uint8_t>());
    return out;
  }
  std::string string() { return text(number<std::uint64_t>()); }
  Json value(std::uint32_t type) {
    switch (type) {
      case 4:
        return number<std::uint32_t>();
      case 5:
        return number<std::int32_t>();
      case 6:
        return number<float>();
      case 7:
        return number<std::uint8_t>() != 0;
      case 8:
        return string();
      case 9: {
        Json list = Json::array();
        const auto inner = number<std::uint32_t>();
        for (auto count = number<std::uint64_t>(); count > 0; --count) list.push_back(value(inner));
        return list;
      }
      default:
        throw std::runtime_error("unknown GGUF type");
    }
  }
  const Bytes& bytes_;
  std::size_t at_ = 0;
};

// S5-36: the facts that llama.cpp asks for, as in docs/interop.md.
TEST(ExportGguf, EveryKeyAndEveryTensorIsWhereLlamaCppLooksForIt) {
  const TempDirectory temp;
  export_gguf(model_snapshot({-1, -2, '\n', 0xFF0C, 0x2581, ' '}), temp.file("m.gguf"), DType::f32, false);
  const Bytes bytes = file_bytes(temp.file("m.gguf"));
  const Gguf file(bytes);
  const std::pair<const char*, Json> metadata[] = {
      {"general.architecture", "gpt2"},
      {"general.name", "zhgpt"},
      {"general.file_type", 0},
      {"gpt2.context_length", 9},
      {"gpt2.embedding_length", 16},
      {"gpt2.block_count", 2},
      {"gpt2.feed_forward_length", 64},
      {"gpt2.attention.head_count", 2},
      {"gpt2.attention.layer_norm_epsilon", 1e-5f},
      {"tokenizer.ggml.model", "t5"},
      {"tokenizer.ggml.tokens", {"<unk>", "<|endoftext|>", "\n", "，", "<U+2581>", "▁"}},
      {"tokenizer.ggml.scores", {0.0f, 0.0f, -1.0f, -1.0f, 0.0f, -1.0f}},
      {"tokenizer.ggml.token_type", {2, 3, 1, 1, 3, 1}},
      {"tokenizer.ggml.unknown_token_id", 0},
      {"tokenizer.ggml.bos_token_id", 1},
      {"tokenizer.ggml.eos_token_id", 1},
      {"tokenizer.ggml.padding_token_id", 1},
      {"tokenizer.ggml.add_bos_token", false},
      {"tokenizer.ggml.add_eos_token", false},
      {"tokenizer.ggml.add_space_prefix", false},
      {"tokenizer.ggml.remove_extra_whitespaces", false},
      {"tokenizer.ggml.suppress_tokens", Json::array({0})}};
  EXPECT_EQ(file.metadata.size(), std::size(metadata));
  for (const auto& [key, value] : metadata) EXPECT_EQ(file.metadata.at(key), value) << key;

  ModelConfig m = golden_config();
  m.vocab_size = 6;
  const std::pair<const char*, const char*> names[] = {{"token_embd.weight", "wte.weight"},
                                                       {"position_embd.weight", "wpe.weight"},
                                                       {"output_norm.weight", "ln_f.weight"},
                                                       {"output_norm.bias", "ln_f.bias"},
                                                       {"blk.1.attn_norm.weight", "h.1.ln_1.weight"},
                                                       {"blk.1.attn_norm.bias", "h.1.ln_1.bias"},
                                                       {"blk.1.attn_qkv.weight", "h.1.attn.c_attn.weight"},
                                                       {"blk.1.attn_qkv.bias", "h.1.attn.c_attn.bias"},
                                                       {"blk.1.attn_output.weight", "h.1.attn.c_proj.weight"},
                                                       {"blk.1.attn_output.bias", "h.1.attn.c_proj.bias"},
                                                       {"blk.1.ffn_norm.weight", "h.1.ln_2.weight"},
                                                       {"blk.1.ffn_norm.bias", "h.1.ln_2.bias"},
                                                       {"blk.1.ffn_up.weight", "h.1.mlp.c_fc.weight"},
                                                       {"blk.1.ffn_up.bias", "h.1.mlp.c_fc.bias"},
                                                       {"blk.1.ffn_down.weight", "h.1.mlp.c_proj.weight"},
                                                       {"blk.1.ffn_down.bias", "h.1.mlp.c_proj.bias"}};
  EXPECT_EQ(file.tensors.size(), 4u + 2u * 12u);
  std::size_t end = 0;
  for (const auto& [theirs, ours] : names) {
    const Gguf::Tensor& tensor = file.tensors.at(theirs);
    const ParameterSpec spec = ParameterTable(m).find(ours);
    EXPECT_EQ(tensor.dims, std::vector<std::uint64_t>(spec.shape.rbegin(), spec.shape.rend())) << theirs;
    EXPECT_EQ(tensor.type, 0u);
    EXPECT_EQ(tensor.offset % 32, 0u);
    for (std::int64_t i = 0; i < spec.numel; ++i) {
      float value = 0;
      std::memcpy(&value, bytes.data() + file.data + tensor.offset + 4 * static_cast<std::size_t>(i), 4);
      ASSERT_EQ(value, static_cast<float>(golden_value(ours, i))) << theirs << "[" << i << "]";
    }
  }
  for (const auto& [name, tensor] : file.tensors) {
    std::size_t size = 4;
    for (const std::uint64_t dim : tensor.dims) size *= dim;
    end = std::max(end, file.data + tensor.offset + (size + 31) / 32 * 32);
  }
  EXPECT_EQ(end, bytes.size());
}

// f16 holds 11 bits: half a unit in the last place of a value below 1 is 2^-12.
TEST(ExportGguf, InHalvesMatricesAreRoundedAndTheRestIsNot) {
  const TempDirectory temp;
  export_gguf(model_snapshot(), temp.file("m.gguf"), DType::f16, false);
  const Bytes bytes = file_bytes(temp.file("m.gguf"));
  const Gguf file(bytes);
  EXPECT_EQ(file.metadata.at("general.file_type"), 1);
  EXPECT_EQ(file.tensors.at("position_embd.weight").type, 0u);
  EXPECT_EQ(file.tensors.at("blk.0.attn_norm.weight").type, 0u);
  const Gguf::Tensor& tensor = file.tensors.at("blk.0.ffn_up.weight");
  ASSERT_EQ(tensor.type, 1u);
  for (std::int64_t i = 0; i < 64 * 16; ++i) {
    _Float16 value = 0;
    std::memcpy(&value, bytes.data() + file.data + tensor.offset + 2 * static_cast<std::size_t>(i), 2);
    const double error = static_cast<double>(value) - golden_value("h.0.mlp.c_fc.weight", i);
    ASSERT_TRUE(std::abs(error) <= 0x1p-12) << i;
  }
}

TEST(ExportGguf, WhatHalvesCanNotHoldIsRefusedAndNothingIsLeft) {
  const TempDirectory temp;
  Snapshot snapshot = model_snapshot();
  auto& mlp = *std::find_if(snapshot.tensors.begin(), snapshot.tensors.end(),
                            [](const TensorSource& t) { return t.info.name == "h.0.mlp.c_fc.weight"; });
  mlp = tensor(SectionKind::parameter, mlp.info.name, DType::f32, mlp.info.shape,
               std::vector<float>(64 * 16, 70000.0f));
  EXPECT_THROW(export_gguf(snapshot, temp.file("m.gguf"), DType::f16, false), CheckpointError);
  EXPECT_TRUE(temp.names().empty());
  export_gguf(snapshot, temp.file("m.gguf"), DType::f32, false);
  EXPECT_THROW(export_gguf(snapshot, temp.file("m.gguf"), DType::f32, false), IoError);
  export_gguf(snapshot, temp.file("m.gguf"), DType::f32, true);
}

}  // namespace
}  // namespace zhgpt::test
