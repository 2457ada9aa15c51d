// Converting a checkpoint: precision with its error bounds, choosing and renaming tensors, and what is
// missing.
#include "zhgpt/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include <gtest/gtest.h>

#include "io/sample.h"
#include "zhgpt/backend.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/config.h"
#include "zhgpt/float16.h"
#include "zhgpt/formats.h"
#include "zhgpt/gpt.h"
#include "zhgpt/inference.h"

namespace zhgpt::test {
namespace {

Config small_config() {
  Config config;
  config.model = {.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .vocab_size = 11};
  return config;
}

// The model's initial parameters, scaled so that layernorm and biases are no plain numbers either, and
// moments.
Snapshot model_snapshot(bool has_moments = true) {
  const Config config = small_config();
  const ParameterTable table(config.model);
  Snapshot s;
  s.step = 3;
  s.config = config.to_key_values();
  s.vocab = {-1, -2, '1', '2', '3', '4', '5', '6', '7', '8', '9'};
  s.history = "{}\n";
  std::vector<float> flat = table.initial_values(1);
  for (std::size_t i = 0; i < flat.size(); ++i)
    flat[i] = flat[i] * 1.001f + 1e-3f * static_cast<float>(i % 7);
  for (const SectionKind kind : {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}) {
    if (kind != SectionKind::parameter && !has_moments) continue;
    for (const ParameterSpec& spec : table.specs()) {
      const std::vector<float> values(flat.begin() + spec.offset, flat.begin() + spec.offset + spec.numel);
      s.tensors.push_back(tensor(kind, spec.name, DType::f32, spec.shape, values));
    }
  }
  return s;
}

class Convert : public testing::Test {
 protected:
  Checkpoint saved(const Snapshot& snapshot, const std::string& name = "a.bin") {
    save_checkpoint(dir_.file(name), snapshot, true);
    return Checkpoint::open(dir_.file(name));
  }
  Checkpoint converted(const ConvertOptions& options) {
    return saved(convert(saved(model_snapshot()), options).snapshot, "b.bin");
  }
  static const TensorInfo& info(const Checkpoint& c, const std::string& name) {
    return *std::ranges::find(c.tensors(), name, &TensorInfo::name);
  }
  static std::vector<float> floats(const Checkpoint& c, const std::string& name) {
    std::vector<float> values(static_cast<std::size_t>(info(c, name).bytes() / 4));
    c.read(SectionKind::parameter, name, std::as_writable_bytes(std::span(values)));
    return values;
  }
  static std::vector<float> logits(const Checkpoint& c) {
    const auto backend = make_backend("cpu", 1);
    const auto owner = make_inference_model(*backend, c, 1);
    Gpt& model = *owner;
    const std::int32_t ids[] = {2, 3, 4};
    backend->upload(model.inputs(1, 3).data, ids, sizeof ids);
    std::vector<float> out(11);
    backend->download(out.data(), model.last_logits(1, 3).data, 44);
    return out;
  }
  TempDirectory dir_;
};

// S5-5, S5-6, S5-37, S4-27: matrices in half precision, vectors as they were; loaded into floats within half
// a unit.
TEST_F(Convert, ToHalfPrecisionAndBackIsWithinHalfAUnit) {
  const Checkpoint exact = saved(model_snapshot());
  for (const auto& [dtype, unit] : {std::pair{DType::f16, 0x1p-10f}, {DType::bf16, 0x1p-7f}}) {
    const Checkpoint half = converted({.dtype = dtype, .inference_only = true});
    EXPECT_EQ(info(half, "wte.weight").dtype, dtype);
    EXPECT_EQ(info(half, "ln_f.weight").dtype, DType::f32);
    EXPECT_EQ(info(half, "h.0.attn.c_attn.bias").dtype, DType::f32);
    EXPECT_EQ(floats(half, "ln_f.weight"), floats(exact, "ln_f.weight"));

    const Checkpoint back = saved(convert(half, {.dtype = DType::f32}).snapshot, "c.bin");
    const std::vector<float> before = floats(exact, "wte.weight"), after = floats(back, "wte.weight");
    bool has_changed = false;
    for (std::size_t i = 0; i < before.size(); ++i) {
      // Below 2^-14 halves are equally spaced.
      const float spacing = unit * std::max(std::exp2(std::floor(std::log2(std::fabs(before[i])))), 0x1p-14f);
      EXPECT_LE(std::fabs(after[i] - before[i]), spacing / 2);
      has_changed = has_changed || after[i] != before[i];
    }
    EXPECT_TRUE(has_changed);
    // A half file loads into a float model as its own floats do.
    EXPECT_EQ(logits(half), logits(back));
  }
}

TEST_F(Convert, HalvesRoundToTheNearestTiesToEven) {
  const std::pair<float, std::uint16_t> cases[] = {{1.0f, 0x3C00},
                                                   {-2.0f, 0xC000},
                                                   {65504.0f, 0x7BFF},
                                                   {65519.996f, 0x7BFF},
                                                   {65520.0f, 0x7C00},
                                                   {1.0f + 0x1p-11f, 0x3C00},
                                                   {1.0f + 0x3p-11f, 0x3C02},
                                                   {0x1p-14f, 0x0400},
                                                   {0x1p-24f, 0x0001},
                                                   {0x1p-25f, 0x0000},
                                                   {0x1.8p-24f, 0x0002},
                                                   {0x1.FF8p-15f, 0x03FF},
                                                   {-0.0f, 0x8000},
                                                   {1e30f, 0x7C00}};
  for (const auto& [value, bits] : cases) EXPECT_EQ(float16_bits(value), bits) << value;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7C00) == 0x7C00) continue;
    EXPECT_EQ(float16_bits(float16_value(static_cast<std::uint16_t>(bits))), bits);
    // By the definition: sign, 5 bits of exponent, 10 of fraction.
    const double fraction = (bits & 0x3FF) / 1024.0, exponent = (bits >> 10) & 31;
    const double value =
        exponent > 0 ? std::ldexp(1 + fraction, static_cast<int>(exponent) - 15) : std::ldexp(fraction, -14);
    EXPECT_EQ(static_cast<double>(float16_value(static_cast<std::uint16_t>(bits))),
              bits & 0x8000 ? -value : value);
  }
}

// S1-27: what a half can not hold is refused, not written as infinity.
TEST_F(Convert, AValueBeyondTheLargestHalfIsRefused) {
  Snapshot snapshot = model_snapshot(false);
  snapshot.tensors[0] =
      tensor(SectionKind::parameter, "wte.weight", DType::f32, {11, 16}, std::vector<float>(176, 1e6f));
  const Converted half = convert(saved(snapshot), {.dtype = DType::f16});
  EXPECT_THROW(save_checkpoint(dir_.file("b.bin"), half.snapshot), CheckpointError);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("b.bin")));
}

TEST_F(Convert, ATrainingStateIsNotRounded) {
  EXPECT_THROW(convert(saved(model_snapshot()), {.dtype = DType::bf16}), ConfigError);
  EXPECT_EQ(converted({.dtype = DType::f32}).state_hash(), state_hash(model_snapshot()));
}

// S2-19, S2-21, S3-24
TEST_F(Convert, ForInferenceKeepsParametersOnly) {
  const Checkpoint c = converted({.inference_only = true});
  EXPECT_EQ(c.state_hash(), state_hash(model_snapshot(false)));
  EXPECT_EQ(c.progress().get("inference_only"), "true");
  EXPECT_EQ(c.history(), "");
  EXPECT_EQ(c.vocab(), model_snapshot().vocab);
  EXPECT_THROW(load_checkpoint(c.path()), CheckpointError);
}

std::string refusal_of(const Checkpoint& checkpoint, const ConvertOptions& options) {
  try {
    convert(checkpoint, options);
    return "";
  } catch (const CheckpointError& error) {
    return error.what();
  }
}

// S3-12, S5-30
TEST_F(Convert, WhatDoesNotFitIsRefusedAndAllOfItNamed) {
  const std::string text = refusal_of(saved(model_snapshot()), {.exclude = {"ln_f", "h\\.1\\.mlp"}});
  for (const char* name :
       {"missing (6):", "ln_f.weight", "ln_f.bias", "h.1.mlp.c_fc.weight", "h.1.mlp.c_proj.bias"}) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

// S3-13, S5-30
TEST_F(Convert, PartialGivesWhatIsMissingItsInitialValues) {
  const ConvertOptions options{.exclude = {"^wpe"}, .partial = true};
  const Converted result = convert(saved(model_snapshot()), options);
  EXPECT_EQ(result.fit.missing, std::vector<std::string>{"wpe.weight"});
  EXPECT_TRUE(result.fit.unused.empty());
  EXPECT_EQ(result.fit.applied.size() + 1, ParameterTable(small_config().model).specs().size());
  const Checkpoint c = saved(result.snapshot, "b.bin");
  const ParameterTable table(small_config().model);
  const ParameterSpec& wpe = table.find("wpe.weight");
  const std::vector<float> initial =
      table.initial_values(static_cast<std::uint64_t>(small_config().train.seed));
  EXPECT_TRUE(std::ranges::equal(floats(c, "wpe.weight"),
                                 std::span(initial).subspan(static_cast<std::size_t>(wpe.offset), 128)));
  EXPECT_EQ(floats(c, "wte.weight"), floats(saved(model_snapshot()), "wte.weight"));
  std::vector<float> m(128, 1.0f);
  c.read(SectionKind::adam_m, "wpe.weight", std::as_writable_bytes(std::span(m)));
  EXPECT_EQ(m, std::vector<float>(128, 0.0f));
  EXPECT_NO_THROW(logits(c));
}

TEST_F(Convert, PartialNamesOtherShapesAndWhatIsNotUsed) {
  Snapshot snapshot = model_snapshot(false);
  snapshot.tensors[0] =
      tensor(SectionKind::parameter, "wte.weight", DType::f32, {10, 16}, std::vector<float>(160, 1.0f));
  snapshot.tensors.push_back(tensor<float>(SectionKind::parameter, "extra", DType::f32, {1}, {1}));
  const Checkpoint c = saved(snapshot);
  EXPECT_NE(refusal_of(c, {.include = {"."}}).find("(10, 16) != (11, 16)"), std::string::npos);
  const Converted result = convert(c, {.partial = true});
  EXPECT_EQ(result.fit.mismatched.size(), 1u);
  EXPECT_EQ(result.fit.unused, std::vector<std::string>{"extra"});
  EXPECT_NO_THROW(logits(saved(result.snapshot, "b.bin")));
}

// S5-32, S5-33
TEST_F(Convert, NamesAreMatchedAndReplacedByExpressions) {
  Snapshot prefixed = model_snapshot(false);
  for (TensorSource& t : prefixed.tensors) t.info.name = "model.transformer." + t.info.name;
  const Checkpoint c = saved(prefixed);
  const ConvertOptions options{.include = {"wte", "^model"},
                               .rename = {{"^model\\.", ""}, {"^transformer\\.", ""}}};
  EXPECT_EQ(state_hash(convert(c, options).snapshot), state_hash(model_snapshot(false)));
  EXPECT_THROW(convert(c, {.include = {"("}}), ConfigError);
}

}  // namespace
}  // namespace zhgpt::test
