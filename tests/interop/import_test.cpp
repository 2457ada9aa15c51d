// Hugging Face directories, taken over: values, logits, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "interop/foreign.h"
#include "zhgpt/inference.h"

namespace zhgpt::test {
namespace {

// Small multiples of 1/64, that f16 and bf16 hold exactly.
double exact_value(const std::string& name, std::int64_t i) {
  return (static_cast<double>(golden_hash(name, static_cast<std::uint32_t>(i)) % 97) - 48) / 64;
}

// The logits after the golden inputs' first row, of a checkpoint as `zhgpt sample` loads it.
std::vector<float> last_logits(const std::string& path, const std::vector<std::int32_t>& ids) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const auto backend = make_backend("cpu", 1);
  const auto model = make_inference_model(*backend, checkpoint, 1);
  const auto T = static_cast<std::int64_t>(ids.size());
  backend->upload(model->inputs(1, T).data, ids.data(), T * 4);
  const Tensor logits = model->last_logits(1, T);
  std::vector<float> values(static_cast<std::size_t>(logits.numel()));
  backend->download(values.data(), logits.data, logits.bytes());
  return values;
}

// S5-36
TEST(Import, EveryValueOfEveryTypeIsInItsPlaceWithAndWithoutThePrefix) {
  const HuggingfaceDirectory directory;
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    for (const char* prefix : {"", "transformer."}) {
      directory.put_weights(huggingface_tensors(golden_config(), prefix, exact_value), dtype);
      const Imported imported = import_model(directory.path, "");
      const ParameterTable table(golden_config());
      ASSERT_EQ(imported.snapshot.tensors.size(), table.specs().size());
      for (const ParameterSpec& spec : table.specs()) {
        const TensorSource& tensor = tensor_of(imported.snapshot, spec.name);
        ASSERT_EQ(tensor.info.shape, spec.shape) << spec.name;
        const auto values = elements<float>(tensor);
        for (std::size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(values[i], exact_value(spec.name, static_cast<std::int64_t>(i)))
              << dtype << " " << spec.name << "[" << i << "]";
        }
      }
    }
  }
}

// S5-36
TEST(Import, LogitsAreThoseOfPyTorch) {
  const HuggingfaceDirectory directory;
  const std::string out = directory.temp.file("out.bin");
  save_checkpoint(out, import_model(directory.path, "").snapshot);
  const auto logits = last_logits(out, golden_ids("inputs", 9, false));
  const auto& expected = golden()["last_logits_of_row_0"];
  ASSERT_EQ(logits.size(), expected.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    EXPECT_TRUE(std::abs(static_cast<double>(logits[i]) - expected[i].get<double>()) <= 2e-5)
        << i;  // as in model/test_golden.cpp
  }
}

// S5-36
TEST(Import, OfABertVocabularyTheCharactersAreKeptWithTheirLogits) {
  const HuggingfaceDirectory directory;
  std::filesystem::remove(directory.file("tokenizer.json"));
  // 37 rows; ids are line numbers. Kept: [UNK], [SEP], and the characters of rows 5, 7, 9, 10, 36.
  std::vector<std::string> lines(37);
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i] = "[unused" + std::to_string(i) + "]";
  lines[0] = "[PAD]", lines[1] = "[UNK]", lines[2] = "[CLS]", lines[3] = "[SEP]", lines[4] = "[MASK]";
  lines[5] = "，", lines[6] = "##春", lines[7] = "春", lines[8] = "the", lines[9] = "a", lines[10] = "𠮷",
  lines[36] = "秋";
  std::string text;
  for (const std::string& line : lines) text += line + "\r\n";
  directory.put("vocab.txt", text);

  const Imported imported = import_model(directory.path, "");
  EXPECT_EQ(imported.snapshot.vocab,
            (std::vector<std::int32_t>{-1, -2, 0xFF0C, 0x6625, 'a', 0x20BB7, 0x79CB}));
  const std::vector<std::size_t> rows = {1, 3, 5, 7, 9, 10, 36};
  ASSERT_FALSE(imported.notes.empty());
  EXPECT_TRUE(contains(imported.notes[0], "7 of 37") && contains(imported.notes[0], "30"))
      << imported.notes[0];
  EXPECT_TRUE(contains(imported.notes[1], "[UNK]") && contains(imported.notes[1], "[SEP]"))
      << imported.notes[1];

  // The same characters, told by either numbering, get the same logits.
  const std::string small = directory.temp.file("small.bin"), whole = directory.temp.file("whole.bin");
  save_checkpoint(small, imported.snapshot);
  directory.put("tokenizer.json", character_tokenizer(37).dump());
  save_checkpoint(whole, import_model(directory.path, "").snapshot);
  const auto of_small = last_logits(small, {3, 2, 6}), of_whole = last_logits(whole, {7, 5, 36});
  ASSERT_EQ(of_small.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(of_small[i], of_whole[rows[i]]) << i;
}

TEST(Import, OldMasksAreSkippedAndAnEqualHeadIsTheEmbedding) {
  const HuggingfaceDirectory directory;
  auto tensors = huggingface_tensors(golden_config(), "transformer.", golden_value);
  ForeignTensor head = tensors[0];
  head.name = "lm_head.weight";
  tensors.push_back(head);
  tensors.push_back({"transformer.h.0.attn.bias", {1, 1, 9, 9}, std::vector<double>(81, 1)});
  tensors.push_back({"transformer.h.0.attn.masked_bias", {}, {-10000}});
  directory.put_weights(tensors);
  EXPECT_EQ(import_refusal(directory.path), "");

  tensors[tensors.size() - 3].values[5] += 1;
  directory.put_weights(tensors);
  EXPECT_TRUE(contains(import_refusal(directory.path), "lm_head.weight differs from wte.weight"));
}

TEST(Import, TheSameModelGivesTheSameFileAndItSaysWhatItIs) {
  const HuggingfaceDirectory directory;
  directory.set_config("converted_from_pytorch", true);
  const std::string a = directory.temp.file("a.bin"), b = directory.temp.file("b.bin");
  save_checkpoint(a, import_model(directory.path, "").snapshot);
  save_checkpoint(b, import_model(directory.path, "").snapshot);
  EXPECT_EQ(file_bytes(a), file_bytes(b));
  const Checkpoint checkpoint = Checkpoint::open(a);
  EXPECT_EQ(checkpoint.progress().get("inference_only"), "true");
  EXPECT_EQ(checkpoint.progress().get("converted_from_pytorch"), "true");  // S2-33
}

// The hub's cache holds links to files elsewhere.
TEST(Import, LinkedWeightsAreFollowed) {
  const HuggingfaceDirectory directory;
  std::filesystem::rename(directory.file("model.safetensors"), directory.temp.file("blob"));
  std::filesystem::create_symlink("../blob", directory.file("model.safetensors"));
  EXPECT_EQ(import_refusal(directory.path), "");
}

// S5-36
TEST(Import, WhatComputesSomethingElseIsRefusedByName) {
  const HuggingfaceDirectory directory;
  const std::pair<const char*, Json> settings[] = {{"model_type", "llama"},
                                                   {"activation_function", "gelu"},
                                                   {"activation_function", "relu"},
                                                   {"layer_norm_epsilon", 1e-12},
                                                   {"n_inner", 100},
                                                   {"scale_attn_weights", false},
                                                   {"scale_attn_by_inverse_layer_idx", true},
                                                   {"add_cross_attention", true},
                                                   {"tie_word_embeddings", false},
                                                   {"n_head", 3},
                                                   {"n_layer", -1},
                                                   {"n_layer", 1001},
                                                   {"n_embd", 1e300},
                                                   {"n_positions", "9"},
                                                   {"vocab_size", nullptr},
                                                   {"resid_pdrop", 1.5}};
  for (const auto& [name, value] : settings) {
    directory.set_config(name, value);
    const std::string refusal = import_refusal(directory.path);
    EXPECT_TRUE(contains(refusal, "config.json: " + std::string(name) + " is ")) << name << ": " << refusal;
  }
  directory.put("config.json",
                R"({"n_layer": )" + std::string(400'000, '[') + std::string(400'000, ']') + "}");
  EXPECT_TRUE(contains(import_refusal(directory.path), "n_layer is "));
  directory.set_config("n_inner", 64);
  EXPECT_EQ(import_refusal(directory.path), "");
}

TEST(Import, TensorsThatAreMissingOrTooManyOrOfAnotherShapeAreNamed) {
  const HuggingfaceDirectory directory;
  const auto whole = huggingface_tensors(golden_config(), "", golden_value);
  auto tensors = whole;
  tensors.pop_back();
  directory.put_weights(tensors);
  EXPECT_TRUE(contains(import_refusal(directory.path), "\"ln_f.bias\" (16) is missing"));

  tensors = whole;
  tensors.push_back({"score.weight", {2}, {1, 2}});
  directory.put_weights(tensors);
  EXPECT_TRUE(contains(import_refusal(directory.path), "\"score.weight\" is not one of GPT-2's"));

  tensors = whole;
  tensors.push_back(whole[3]);
  tensors.back().name = "transformer." + whole[3].name;  // the same tensor under both names
  directory.put_weights(tensors);
  EXPECT_TRUE(contains(import_refusal(directory.path), whole[3].name));

  directory.put_weights(whole);
  directory.set_config("n_positions", 8);
  EXPECT_TRUE(contains(import_refusal(directory.path),
                       "\"wpe.weight\" has shape (9, 16), where (8, 16) is expected"));
}

TEST(Import, ADirectoryWithoutReadableWeightsSaysWhatToDo) {
  const HuggingfaceDirectory directory;
  std::filesystem::remove(directory.file("model.safetensors"));
  EXPECT_TRUE(contains(import_refusal(directory.path), "no model.safetensors"));
  directory.put("pytorch_model.bin", "PK");
  EXPECT_TRUE(contains(import_refusal(directory.path), "tools/pt2safetensors.py"));
  directory.put("model.safetensors.index.json", "{}");
  EXPECT_TRUE(contains(import_refusal(directory.path), "max_shard_size"));
  directory.put("text.txt", "天地玄黄");
  EXPECT_TRUE(contains(import_refusal(directory.file("text.txt")), "neither a Hugging Face directory"));
  EXPECT_TRUE(contains(import_refusal(directory.file("nothing")), "no such file"));
}

TEST(Import, AValueThatIsNotFiniteIsRefusedAndNothingIsWritten) {
  const HuggingfaceDirectory directory;
  auto tensors = huggingface_tensors(golden_config(), "", golden_value);
  tensors[4].values[3] = NAN;
  directory.put_weights(tensors);
  const std::string out = directory.temp.file("out.bin");
  EXPECT_THROW(save_checkpoint(out, import_model(directory.path, "").snapshot), CheckpointError);
  EXPECT_FALSE(std::filesystem::exists(out));
}

// R1-R10: a header from a stranger. Whatever a byte of it becomes, the file is refused or a model, never a
// crash; and one that is cut short is never a model.
TEST(Import, EveryDamagedHeaderIsRefusedOrHarmless) {
  const HuggingfaceDirectory directory;
  const Bytes whole = file_bytes(directory.file("model.safetensors"));
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, whole.data(), sizeof header_bytes);
  int refused = 0;
  for (std::size_t i = 0; i < header_bytes + 8; i += i < 700 ? 1 : 13) {
    for (const int change : {1, 0x80}) {
      Bytes bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ change);
      put_file(directory.file("model.safetensors"), bytes);
      try {
        import_model(directory.path, "");  // reads all of it, to hash it
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{100}, whole.size() - 1}) {
    put_file(directory.file("model.safetensors"),
             Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_NE(import_refusal(directory.path), "") << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  put_file(directory.file("model.safetensors"), longer);
  EXPECT_NE(import_refusal(directory.path), "");
}

}  // namespace
}  // namespace zhgpt::test
