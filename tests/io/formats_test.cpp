// One state in four formats: each brings back the same bits, is told by its content, and says what is wrong
// with it.
#include <array>
#include <cmath>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/memory_counter.h"
#include "io/sample.h"
#include "zhgpt/formats.h"

namespace zhgpt::test {
namespace {

// Everything that is hard to carry: values that are no plain numbers or texts, entries that are no
// characters, every dtype and rank, numbers at the edges, a product that GPT-2 stores turned and one that is
// longer than a chunk.
Snapshot hard_snapshot() {
  Snapshot s = sample_snapshot();
  s.step = std::numeric_limits<std::int64_t>::max();
  s.config.set("inf_value", "inf");
  s.config.set("nan_value", "-nan");
  s.config.set("not_canonical", "+0x1F");
  s.config.set("padded", "007");
  s.config.set("minus_zero", "-0");
  s.config.set("real", "0.1");
  s.config.set("large", "1e+300");
  s.config.set("larger", "1e400");
  s.config.set("too_long", "123456789012345678901234567890");
  s.config.set("yes", "true");
  s.config.set_quoted("inf_text", "inf");
  s.config.set_quoted("lines", "一\n\"二\"\\\t\x7F");
  s.config.set("other_escape", "\"\\u0041\"");
  s.config.set("empty", "");
  s.config.set_quoted("nothing", "");
  s.vocab = {-1,     -2,      '\n',   '\t',     0,        '"', '\\',   0x7F,
             0x4E00, 0x20BB7, 0xD800, 0x10FFFF, 0x110000, -3,  0xFEFF, 0xFFFD};
  s.history = "{\"a\": \"\\u0041\"}\n\t\"引号\"\n\n";
  const float kFloats[] = {0,      -0.0f,           1,    -1.5f,    3.4028234663852886e38f,
                           1e-45f, -1.1754944e-38f, 0.1f, 16777216, 123456792,
                           1e10f,  1.0f / 3};
  const auto param = SectionKind::parameter;
  s.tensors.push_back(tensor(param, "floats", DType::f32, {2, 6},
                             std::vector<float>(std::begin(kFloats), std::end(kFloats))));
  s.tensors.push_back(
      tensor<double>(param, "doubles", DType::f64, {4}, {0.1, -0.0, 5e-324, 1.7976931348623157e308}));
  std::vector<std::uint16_t> halves, brains;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    if ((bits & 0x7C00) != 0x7C00) halves.push_back(static_cast<std::uint16_t>(bits));
    if ((bits & 0x7F80) != 0x7F80) brains.push_back(static_cast<std::uint16_t>(bits));
  }
  const auto n_halves = static_cast<std::int64_t>(halves.size()),
             n_brains = static_cast<std::int64_t>(brains.size());
  s.tensors.push_back(tensor(param, "f16", DType::f16, {n_halves}, halves));
  s.tensors.push_back(tensor(param, "bf16", DType::bf16, {n_brains}, brains));
  s.tensors.push_back(
      tensor<std::int32_t>(param, "i32", DType::i32, {1, 2}, {std::numeric_limits<std::int32_t>::min(), 7}));
  s.tensors.push_back(tensor<std::int64_t>(
      param, "i64", DType::i64, {2},
      {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}));
  s.tensors.push_back(tensor<std::uint16_t>(param, "u16", DType::u16, {1}, {65535}));
  s.tensors.push_back(tensor<std::uint8_t>(param, "u8", DType::u8, {}, {255}));
  s.tensors.push_back(
      tensor<float>(SectionKind::adam_m, "rank8", DType::f32, {1, 1, 1, 1, 1, 1, 1, 2}, {1, 2}));
  return s;
}

// A product of more than a chunk, which does not end at a row's end.
Snapshot large_snapshot() {
  Snapshot s = sample_snapshot();
  constexpr std::int64_t kRows = 2050, kCols = 2200;
  std::vector<float> values(kRows * kCols);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5f;
  s.tensors.push_back(
      tensor(SectionKind::parameter, "h.1.mlp.c_fc.weight", DType::f32, {kRows, kCols}, values));
  return s;
}

std::string file_text(const std::string& path) {
  const Bytes bytes = file_bytes(path);
  return {bytes.begin(), bytes.end()};
}
void put_text(const std::string& path, const std::string& text) {
  put_file(path, {text.begin(), text.end()});
}

std::string path_in(const TempDirectory& dir, Format format, const std::string& stem = "a") {
  return dir.file(stem + "." + std::string(format_name(format)));
}

class Formats : public testing::TestWithParam<Format> {
 protected:
  std::string save(const Snapshot& snapshot) {
    const std::string path = path_in(dir_, GetParam());
    save_model(path, snapshot, GetParam(), true);
    return path;
  }
  void expect_carried(const Snapshot& snapshot) {
    const std::string path = save(snapshot);
    const Checkpoint checkpoint = Checkpoint::open(path);
    EXPECT_EQ(checkpoint.format(), GetParam());
    EXPECT_EQ(checkpoint.step(), snapshot.step);
    EXPECT_EQ(checkpoint.run_id(), snapshot.run_id);
    EXPECT_EQ(checkpoint.config().entries(), snapshot.config.entries());
    EXPECT_EQ(checkpoint.progress().entries(), snapshot.progress.entries());
    EXPECT_EQ(checkpoint.vocab(), snapshot.vocab);
    EXPECT_EQ(checkpoint.history(), snapshot.history);
    EXPECT_EQ(checkpoint.state_hash(), state_hash(snapshot));
    // Through any format and back, the native file has the same bytes.
    const std::string before = dir_.file("before.bin"), after = dir_.file("after.bin");
    save_model_binary(before, snapshot, true);
    save_model_binary(after, snapshot_of(checkpoint), true);
    EXPECT_TRUE(file_bytes(before) == file_bytes(after));
  }
  TempDirectory dir_;
};
INSTANTIATE_TEST_SUITE_P(, Formats, testing::ValuesIn(kFormats),
                         [](const auto& test) { return std::string(format_name(test.param)); });

// S1-1, S1-2, S1-4, S1-6, S5-3, S5-21
TEST_P(Formats, CarryTheWholeStateToTheBit) {
  expect_carried(sample_snapshot());
  expect_carried(hard_snapshot());
  expect_carried(Snapshot());
}

TEST_P(Formats, CarryTensorsLongerThanAChunk) {
  expect_carried(large_snapshot());
}

// S1-15
TEST_P(Formats, WriteTheSameStateToTheSameBytes) {
  const Bytes first = file_bytes(save(hard_snapshot()));
  EXPECT_TRUE(first == file_bytes(save(hard_snapshot())));
}

TEST_P(Formats, GiveAnyPartOfATensor) {
  const Snapshot snapshot = large_snapshot();
  const Checkpoint checkpoint = Checkpoint::open(save(snapshot));
  const TensorInfo& info = snapshot.tensors.back().info;
  for (const std::int64_t offset :
       {std::int64_t{0}, std::int64_t{400}, (std::int64_t{16} << 20) - 8, info.bytes() - 64}) {
    std::array<std::byte, 64> found, expected;
    checkpoint.read(info.kind, info.name, offset, found);
    snapshot.tensors.back().read(offset, expected);
    EXPECT_EQ(found, expected) << offset;
  }
  std::array<std::byte, 64> beyond;
  EXPECT_THROW(checkpoint.read(info.kind, info.name, info.bytes() - 63, beyond), CheckpointError);
  EXPECT_THROW(checkpoint.read(info.kind, "missing", 0, beyond), CheckpointError);
}

// S1-3, S1-10, S5-2
TEST_P(Formats, AreToldByTheirContent) {
  const Bytes bytes = file_bytes(save(sample_snapshot()));
  for (const std::string name : {"model.dat", "a", "b.bin", "b.json", "b.mpk", "b.safetensors"}) {
    put_file(dir_.file(name), bytes);
    EXPECT_EQ(detect_format(dir_.file(name)), GetParam()) << name;
    EXPECT_EQ(load_model_auto(dir_.file(name)).state_hash(), state_hash(sample_snapshot())) << name;
  }
}

TEST_P(Formats, AreWrittenAsTheExtensionSays) {
  std::string name(format_name(GetParam()));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  save_checkpoint(dir_.file("A." + name), sample_snapshot());
  EXPECT_EQ(detect_format(dir_.file("A." + name)), GetParam());
}

// S5-4
TEST_P(Formats, RefuseAnotherFormatAndSayWhich) {
  const std::string path = save(sample_snapshot());
  using Load = Checkpoint (*)(const std::string&);
  const std::pair<Format, Load> loads[] = {{Format::binary, load_model_binary},
                                           {Format::json, load_model_json},
                                           {Format::msgpack, load_model_msgpack},
                                           {Format::safetensors, load_model_safetensors}};
  for (const auto& [format, load] : loads) {
    if (format == GetParam()) {
      EXPECT_EQ(load(path).state_hash(), state_hash(sample_snapshot()));
      continue;
    }
    try {
      load(path);
      ADD_FAILURE() << format_name(format);
    } catch (const CheckpointError& error) {
      EXPECT_NE(std::string(error.what()).find("." + std::string(format_name(GetParam()))),
                std::string::npos);
    }
  }
}

// S5-14
TEST_P(Formats, LoadFromMemory) {
  const Bytes bytes = file_bytes(save(sample_snapshot()));
  const Checkpoint checkpoint = load_model_bytes(std::as_bytes(std::span(bytes)), "built in");
  EXPECT_EQ(checkpoint.path(), "built in");
  EXPECT_EQ(checkpoint.state_hash(), state_hash(sample_snapshot()));
  Bytes cut = bytes;
  cut.pop_back();
  EXPECT_THROW(load_model_bytes(std::as_bytes(std::span(cut)), "built in"), CheckpointError);
}

// S5-17: in .bin the weights can be used where they lie.
TEST(FormatsInMemory, OnlyTheNativeOneShowsTensorsInPlace) {
  TempDirectory dir;
  for (const Format format : kFormats) {
    save_model(path_in(dir, format), sample_snapshot(), format);
    const Bytes bytes = file_bytes(path_in(dir, format));
    const Checkpoint checkpoint = load_model_bytes(std::as_bytes(std::span(bytes)), "m");
    const TensorInfo& info = checkpoint.tensors().front();
    const auto view = checkpoint.view(info.kind, info.name);
    if (format != Format::binary) {
      EXPECT_TRUE(view.empty());
      continue;
    }
    ASSERT_EQ(view.size(), static_cast<std::size_t>(info.bytes()));
    EXPECT_EQ((reinterpret_cast<const std::uint8_t*>(view.data()) - bytes.data()) % 4096, 0);
    std::vector<std::byte> expected(view.size());
    checkpoint.read(info.kind, info.name, expected);
    EXPECT_TRUE(std::ranges::equal(view, expected));
    EXPECT_TRUE(Checkpoint::open(path_in(dir, format)).view(info.kind, info.name).empty());
  }
}

// S1-23, S1-24
TEST_P(Formats, NeitherWriteNorReadWhatIsNotFinite) {
  Snapshot snapshot = sample_snapshot();
  std::vector<float> values(15, 1.0f);
  values[11] = std::numeric_limits<float>::quiet_NaN();
  snapshot.tensors[1] = tensor(SectionKind::adam_m, "h.0.attn.c_attn.weight", DType::f32, {5, 3}, values);
  const std::string path = path_in(dir_, GetParam());
  try {
    save_model(path, snapshot, GetParam());
    ADD_FAILURE();
  } catch (const CheckpointError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("h.0.attn.c_attn.weight"), std::string::npos) << text;
    EXPECT_NE(text.find("element 11"), std::string::npos) << text;
  }
  EXPECT_TRUE(dir_.names().empty());
}

// S5-27
TEST_P(Formats, LeaveAnExistingFileAsItIs) {
  const std::string path = save(sample_snapshot(1));
  const Bytes before = file_bytes(path);
  EXPECT_THROW(save_model(path, sample_snapshot(2), GetParam()), IoError);
  EXPECT_EQ(file_bytes(path), before);
}

TEST_P(Formats, RefuseWhatCanNotBeACheckpoint) {
  const auto expect_refused = [&](auto change) {
    Snapshot snapshot = sample_snapshot();
    change(snapshot);
    EXPECT_THROW(save_model(path_in(dir_, GetParam()), snapshot, GetParam()), CheckpointError);
    EXPECT_TRUE(dir_.names().empty());
  };
  expect_refused([](Snapshot& s) { s.step = -1; });
  expect_refused([](Snapshot& s) { s.tensors[1] = s.tensors[0]; });
  expect_refused([](Snapshot& s) { s.tensors[0].info.name = "../x"; });
  expect_refused([](Snapshot& s) { s.tensors[0].info.shape = {0, 3}; });
  expect_refused([](Snapshot& s) { s.history = "\x01"; });
  expect_refused([](Snapshot& s) { s.config.set("a", "1\n2"); });
  expect_refused([](Snapshot& s) { s.config.set("A b", "1"); });
}

// S2-29
TEST_P(Formats, AreValidated) {
  const std::string path = save(sample_snapshot());
  EXPECT_TRUE(validate_checkpoint(path).ok);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  const Validity cut = validate_checkpoint(path);
  EXPECT_FALSE(cut.ok);
  EXPECT_NE(cut.message.find(path), std::string::npos);
  EXPECT_FALSE(validate_checkpoint(save(Snapshot())).ok);  // whole, but no model
  EXPECT_FALSE(validate_checkpoint(dir_.file("missing")).ok);
  EXPECT_FALSE(validate_checkpoint(dir_.path()).ok);
}

TEST_P(Formats, WithoutMomentsAreForSamplingOnly) {
  Snapshot snapshot = sample_snapshot();
  EXPECT_NO_THROW(load_checkpoint(save(snapshot)));
  snapshot.tensors.resize(1);
  const std::string path = save(snapshot);
  EXPECT_THROW(load_checkpoint(path), CheckpointError);
  EXPECT_NO_THROW(load_model_auto(path));
}

// S5-26, T24: two chunks and 64 MiB, whatever the state holds.
TEST_P(Formats, TakeBoundedMemoryToWriteAndToRead) {
  Snapshot snapshot = sample_snapshot();
  // 128 MiB of zeros, which nobody holds.
  for (int i = 0; i < 2; ++i) {
    snapshot.tensors.push_back(
        {{SectionKind::parameter, "h." + std::to_string(i) + ".mlp.c_fc.weight", DType::f32, {4096, 4096}},
         [](std::int64_t, std::span<std::byte> to) { std::ranges::fill(to, std::byte{0}); }});
  }
  const std::string path = path_in(dir_, GetParam());
  const std::int64_t before = live_memory();
  reset_peak_memory();
  save_model(path, snapshot, GetParam());
  EXPECT_LT(peak_memory() - before, std::int64_t{64} << 20);
  const Checkpoint checkpoint = Checkpoint::open(path);
  std::vector<std::byte> part(1000);
  checkpoint.read(SectionKind::parameter, "h.1.mlp.c_fc.weight", 12345, part);
  EXPECT_LT(peak_memory() - before, std::int64_t{64} << 20);
}

// S1-7
TEST(Json, IsReadableByAnyJsonLibrary) {
  TempDirectory dir;
  save_model_json(dir.file("a.json"), sample_snapshot());
  const auto json = nlohmann::json::parse(file_text(dir.file("a.json")));
  EXPECT_EQ(json["vocab"]["words"], (nlohmann::json{"<unk>", "<|endoftext|>", "天", "地"}));
  EXPECT_EQ(json["config"]["n_layer"], 2);
  EXPECT_EQ(json["config"]["text_field"], "正文");
  EXPECT_EQ(json["layers"][0]["name"], "h.0.attn.c_attn.weight");
  EXPECT_EQ(json["layers"][0]["data"][14], 42.0);
}

// S1-8
TEST(Json, MayBeEditedByHandWhenItsHashIsDeleted) {
  TempDirectory dir;
  const std::string path = dir.file("a.json");
  save_model_json(path, sample_snapshot());
  std::string text = file_text(path);
  const std::size_t at = text.find("37,39.5,42]");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 10, "37,39.5,0.25");
  put_text(path, text);
  EXPECT_NE(refusal(path).find("delete the line \"hash\""), std::string::npos) << refusal(path);

  const std::size_t hash = text.find("  \"hash\"");
  text.erase(hash, text.find('\n', hash) + 1 - hash);
  put_text(path, text);
  ASSERT_EQ(refusal(path), "");
  float values[15];
  Checkpoint::open(path).read(SectionKind::parameter, "h.0.attn.c_attn.weight",
                              std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values[14], 0.25f);
  EXPECT_EQ(values[13], 39.5f);
}

TEST(Json, LaidOutAnewIsReadWithoutItsHash) {
  TempDirectory dir;
  const std::string path = dir.file("a.json");
  save_model_json(path, sample_snapshot());
  auto json = nlohmann::ordered_json::parse(file_text(path));
  put_text(path, json.dump());
  EXPECT_NE(refusal(path).find("laid out anew"), std::string::npos) << refusal(path);
  json.erase("hash");
  put_text(path, json.dump());
  EXPECT_EQ(Checkpoint::open(path).state_hash(), state_hash(sample_snapshot()));
}

// S1-5
TEST(Json, IsMuchLargerThanTheNativeFormat) {
  TempDirectory dir;
  Snapshot snapshot = sample_snapshot();
  std::vector<float> values(1 << 18);
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state) * 0x1p-32f - 0.5f;
  }
  snapshot.tensors.push_back(tensor(SectionKind::parameter, "w", DType::f32, {512, 512}, values));
  for (const Format format : kFormats) save_model(path_in(dir, format), snapshot, format);
  const auto size = [&](Format format) { return std::filesystem::file_size(path_in(dir, format)); };
  EXPECT_GT(size(Format::json), 2 * size(Format::binary));
  EXPECT_LT(size(Format::msgpack), size(Format::binary));
}

// What only a hand or an attacker writes: each change keeps valid JSON, without a hash.
TEST(Json, RefusesWhatTheDocumentDoesNotDescribe) {
  TempDirectory dir;
  const std::string path = dir.file("a.json");
  save_model_json(path, sample_snapshot());
  auto good = nlohmann::ordered_json::parse(file_text(path));
  good.erase("hash");
  const auto expect_refused = [&](const std::string& text, const std::string& why) {
    put_text(path, text);
    EXPECT_NE(refusal(path).find(why), std::string::npos) << refusal(path) << "\n" << text.substr(0, 300);
  };
  const auto with = [&](auto change) {
    auto json = good;
    change(json);
    return json.dump();
  };
  expect_refused(with([](auto& j) { j["more"] = 1; }), "more");
  expect_refused(with([](auto& j) { j.erase("step"); }), "step");
  expect_refused(with([](auto& j) { j["step"] = -1; }), "step");
  expect_refused(with([](auto& j) { j["step"] = 1.5; }), "step");
  expect_refused(with([](auto& j) { j["version"] = 2; }), "newer zhgpt");
  expect_refused(with([](auto& j) { j["format"] = "other"; }), "not a zhgpt checkpoint");
  expect_refused(with([](auto& j) { j["run_id"] = "xx"; }), "run_id");
  expect_refused(with([](auto& j) { j["config"] = nlohmann::json::array(); }), "config");
  expect_refused(with([](auto& j) { j["config"]["n_layer"] = nullptr; }), "n_layer");
  expect_refused(with([](auto& j) { j["config"]["n_layer"] = {"1\n2"}; }), "config");
  expect_refused(with([](auto& j) { j["config"]["a/b"] = 1; }), "key");
  expect_refused(with([](auto& j) { j["config"]["n_layer"] = nlohmann::json::array(); }), "n_layer");
  expect_refused(with([](auto& j) { j["vocab"]["words"][2] = "天地"; }), "words");
  expect_refused(with([](auto& j) { j["vocab"]["words"][2] = 0x5929; }),
                 "words");  // a character is written as one
  expect_refused(with([](auto& j) { j["history"] = "\x02"; }), "history");
  expect_refused(with([](auto& j) { j["layers"][0]["data"].push_back(1); }), "more elements");
  expect_refused(with([](auto& j) { j["layers"][0]["data"].erase(0); }), "fewer elements");
  expect_refused(with([](auto& j) { j["layers"][0]["data"][3] = "1"; }), "data");
  expect_refused(with([](auto& j) { j["layers"][0]["data"][3] = nullptr; }), "data");
  expect_refused(with([](auto& j) { j["layers"][0]["data"][3] = 1e39; }), "data");
  expect_refused(with([](auto& j) { j["layers"][0]["data"][3] = nlohmann::json::array(); }), "data");
  expect_refused(with([](auto& j) { j["layers"][0]["shape"] = {1 << 30, 1 << 30, 1 << 30}; }), "dimension");
  expect_refused(with([](auto& j) { j["layers"][0]["shape"] = {1, 1, 1, 1, 1, 1, 1, 1, 15}; }), "dimensions");
  expect_refused(with([](auto& j) { j["layers"][0]["dtype"] = "f8"; }), "number type");
  expect_refused(with([](auto& j) { j["layers"][0]["kind"] = "config"; }), "kind");
  expect_refused(with([](auto& j) { j["layers"][0]["name"] = "../../etc"; }), "name");
  expect_refused(with([](auto& j) { j["layers"][1] = j["layers"][0]; }), "same name");
  expect_refused(with([](auto& j) { j["layers"][0].erase("shape"); }), "data comes before");
  expect_refused(with([](auto& j) { j["layers"][0].erase("data"); }), "missing");
  expect_refused("{\"format\": \"zhgpt\", \"format\": \"zhgpt\"}", "twice");
  expect_refused("{\"format\": \"zhgpt\"", "JSON");
  expect_refused("[1]", "does not belong here");
  expect_refused(std::string(100000, '['), "does not belong here");
  expect_refused("{\"config\":" + std::string(100000, '{'), "JSON");
  expect_refused("{\"layers\":" + std::string(100000, '['), "layers");
  expect_refused(good.dump() + "x", "JSON");
}

}  // namespace
}  // namespace zhgpt::test
