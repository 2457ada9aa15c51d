// llm.c's model files: written by hand here, read there, and the other way round.
#include <gtest/gtest.h>

#include "interop/foreign.h"

namespace zhgpt::test {
namespace {

constexpr std::int32_t L = 2, NH = 2, C = 4, V = 5, Vp = 8, T = 3;

double value(std::size_t i) {
  return static_cast<double>(i % 61) / 64 - 0.25;
}

// Values count up through the file; so each element's place tells its number.
Bytes llmc_file(std::int32_t version, std::size_t count) {
  Bytes bytes;
  for (const std::int32_t field : {20240326, version, T, V, L, NH, C, Vp}) append(bytes, field);
  bytes.resize(1024);
  for (std::size_t i = 0; i < count; ++i) append_number(bytes, version == 3 ? "F32" : "BF16", value(i));
  return bytes;
}
constexpr std::size_t kCount = Vp * C + T * C + L * (12 * C * C + 13 * C) + 2 * C;

struct LlmcFile {
  TempDirectory temp;
  std::string path = temp.file("gpt2.bin"), vocabulary = temp.file("vocab.json");
  LlmcFile() {
    put_text(
        vocabulary,
        R"({"format": "zhgpt-vocab", "version": 1, "tokens": ["<unk>", "<|endoftext|>", "，", "春", "秋"]})");
  }
  void put(const Bytes& bytes) const { put_file(path, bytes); }
};

// S5-36
TEST(Llmc, BothVersionsAreReadInTheirOrder) {
  const LlmcFile file;
  for (const std::int32_t version : {3, 5}) {
    file.put(llmc_file(version, kCount));
    const Snapshot snapshot = import_model(file.path, file.vocabulary).snapshot;
    std::size_t at = 0;
    const auto expect = [&](const std::string& name, std::size_t count, std::size_t padding = 0) {
      const auto values = elements<float>(tensor_of(snapshot, name));
      ASSERT_EQ(values.size(), count) << name;
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(values[i], value(at + i)) << version << " " << name << "[" << i << "]";
      at += count + padding;
    };
    const auto in_all_layers = [&](const std::string& name, std::size_t count) {
      for (int l = 0; l < L; ++l) expect("h." + std::to_string(l) + "." + name, count);
    };
    expect("wte.weight", V * C, (Vp - V) * C);
    expect("wpe.weight", T * C);
    in_all_layers("ln_1.weight", C);
    in_all_layers("ln_1.bias", C);
    in_all_layers("attn.c_attn.weight", 3 * C * C);
    in_all_layers("attn.c_attn.bias", 3 * C);
    in_all_layers("attn.c_proj.weight", C * C);
    in_all_layers("attn.c_proj.bias", C);
    in_all_layers("ln_2.weight", C);
    in_all_layers("ln_2.bias", C);
    in_all_layers("mlp.c_fc.weight", 4 * C * C);
    in_all_layers("mlp.c_fc.bias", 4 * C);
    in_all_layers("mlp.c_proj.weight", 4 * C * C);
    in_all_layers("mlp.c_proj.bias", C);
    expect("ln_f.weight", C);
    expect("ln_f.bias", C);
    EXPECT_EQ(at, kCount);
  }
}

TEST(Llmc, WrittenAgainItIsTheSameButForThePadding) {
  const LlmcFile file;
  const Bytes original = llmc_file(3, kCount);
  file.put(original);
  const std::string out = file.temp.file("out.bin");
  export_llmc(import_model(file.path, file.vocabulary).snapshot, out, false);
  const Bytes written = file_bytes(out);
  // 128 rows in the place of 8, those beyond 5 zero.
  ASSERT_EQ(written.size(), original.size() + (128 - Vp) * C * 4);
  EXPECT_TRUE(std::equal(written.begin(), written.begin() + 28, original.begin()));
  EXPECT_EQ(written[28], 128);
  EXPECT_TRUE(std::equal(written.begin() + 32, written.begin() + 1024 + V * C * 4, original.begin() + 32));
  EXPECT_EQ(Bytes(written.begin() + 1024 + V * C * 4, written.begin() + 1024 + 128 * C * 4),
            Bytes((128 - V) * C * 4));
  EXPECT_TRUE(
      std::equal(written.begin() + 1024 + 128 * C * 4, written.end(), original.begin() + 1024 + Vp * C * 4));

  EXPECT_THROW(export_llmc(import_model(file.path, file.vocabulary).snapshot, out, false), IoError);
  EXPECT_EQ(file_bytes(out), written);
  export_llmc(import_model(file.path, file.vocabulary).snapshot, out, true);
}

TEST(Llmc, WithoutAVocabularyItSaysWhatIsMissing) {
  const LlmcFile file;
  file.put(llmc_file(3, kCount));
  EXPECT_TRUE(contains(import_refusal(file.path), "--vocab FILE"));
}

// R1-R10
TEST(Llmc, ImpossibleHeadersAreRefusedBeforeAnythingIsTaken) {
  const LlmcFile file;
  const Bytes whole = llmc_file(3, kCount);
  const std::int32_t values[] = {0, -1, 1, 4, 1 << 30, static_cast<std::int32_t>(0x80000000)};
  for (std::size_t field = 1; field < 8; ++field) {
    for (const std::int32_t wrong : values) {
      Bytes bytes = whole;
      std::memcpy(bytes.data() + 4 * field, &wrong, 4);
      if (bytes == whole || (field == 5 && (wrong == 1 || wrong == 4)))
        continue;                                              // other heads divide C as well
      if (field == 3 && (wrong == 1 || wrong == 4)) continue;  // fewer rows, named by a smaller vocabulary
      file.put(bytes);
      EXPECT_TRUE(contains(import_refusal(file.path, file.vocabulary), "byte")) << field << " " << wrong;
    }
  }
  for (const std::size_t size : {std::size_t{1024}, std::size_t{1030}, whole.size() - 1}) {
    file.put(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_TRUE(contains(import_refusal(file.path, file.vocabulary), "does not have the size")) << size;
  }
  file.put(Bytes(whole.begin(), whole.begin() + 1000));
  EXPECT_TRUE(contains(import_refusal(file.path, file.vocabulary), "neither a Hugging Face directory"));
}

}  // namespace
}  // namespace zhgpt::test
