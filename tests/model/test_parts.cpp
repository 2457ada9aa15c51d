// A model cut into parts, and one whose weights lie elsewhere: the same bits as the whole model that owns its
// weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "zhgpt/error.h"
#include "zhgpt/gpt.h"

namespace zhgpt {
namespace {

constexpr std::int64_t B = 2, T = 7, kLayers = 5;
const ModelConfig kConfig{.n_layer = kLayers, .n_head = 2, .n_embd = 32, .block_size = 9, .vocab_size = 41};

std::vector<float> download(Backend& backend, const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
  backend.download(values.data(), tensor.data, tensor.bytes());
  return values;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(),
                 [](float v) { return std::bit_cast<std::uint32_t>(v); });
  return out;
}

std::vector<std::int32_t> some_ids() {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < B * T; ++i)
    ids.push_back(static_cast<std::int32_t>(i * 17 % kConfig.vocab_size));
  return ids;
}

// Weights that no part has by chance: initial ones, and vectors that are neither 0 nor 1.
std::vector<float> some_weights(const ParameterTable& table) {
  std::vector<float> flat = table.initial_values(3);
  for (const ParameterSpec& spec : table.specs()) {
    for (std::int64_t i = 0; spec.shape.size() == 1 && i < spec.numel; ++i) {
      flat[static_cast<std::size_t>(spec.offset + i)] += 0.01f * static_cast<float>((spec.offset + i) % 13);
    }
  }
  return flat;
}

class Parts : public testing::Test {
 protected:
  Parts() : backend_(make_backend("cpu", 2)), whole_(*backend_, kConfig, B, Gpt::Purpose::inference) {
    weights_ = some_weights(whole_.table());
    whole_.set_parameters(weights_);
    ids_ = some_ids();
    backend_->upload(whole_.inputs(B, T).data, ids_.data(), B * T * 4);
    logits_ = download(*backend_, whole_.last_logits(B, T));
  }

  const float* weight(const std::string& name) const {
    return weights_.data() + whole_.table().find(name).offset;
  }

  // Layers [begin, end) of the whole model, as a model of its own.
  std::unique_ptr<Gpt> part(std::int64_t begin, std::int64_t end, NetworkEnds ends) {
    ModelConfig config = kConfig;
    config.n_layer = end - begin;
    auto model = std::make_unique<Gpt>(*backend_, config, B, Gpt::Purpose::inference, DType::f32,
                                       Gpt::Recompute::none, ends);
    std::vector<float> flat(static_cast<std::size_t>(model->table().flat_size()));
    for (const ParameterSpec& spec : model->table().specs()) {
      std::string name = spec.name;
      if (name.starts_with("h.")) {
        const std::size_t dot = name.find('.', 2);
        name = "h." + std::to_string(std::stoll(name.substr(2, dot - 2)) + begin) + name.substr(dot);
      }
      std::copy_n(weight(name), spec.numel, flat.begin() + spec.offset);
    }
    model->set_parameters(flat);
    return model;
  }

  std::unique_ptr<Backend> backend_;
  Gpt whole_;
  std::vector<float> weights_, logits_;
  std::vector<std::int32_t> ids_;
};

// S4-8
TEST_F(Parts, InTurnGiveTheLogitsOfTheWholeBitForBit) {
  for (std::int64_t s1 = 1; s1 < kLayers; ++s1) {
    for (std::int64_t s2 = s1 + 1; s2 < kLayers; ++s2) {
      const auto bottom = part(0, s1, {.embedding = true, .head = false}),
                 trunk = part(s1, s2, {.embedding = false, .head = false}),
                 top = part(s2, kLayers, {.embedding = false, .head = true});
      backend_->upload(bottom->inputs(B, T).data, ids_.data(), B * T * 4);
      Tensor stream = bottom->stream_out(B, T);
      backend_->copy(trunk->stream_in(B, T).data, stream.data, stream.bytes());
      stream = trunk->stream_out(B, T);
      backend_->copy(top->stream_in(B, T).data, stream.data, stream.bytes());
      EXPECT_EQ(bits(download(*backend_, top->last_logits(B, T))), bits(logits_)) << s1 << ", " << s2;
    }
  }
}

// S4-1, S4-7
TEST_F(Parts, HaveTheTensorsOfTheirEndsOnly) {
  const auto names = [&](NetworkEnds ends) {
    ModelConfig config = kConfig;
    config.n_layer = 1;
    std::vector<std::string> found;
    const ParameterTable table(config, ends);
    for (const ParameterSpec& spec : table.specs()) {
      if (!spec.name.starts_with("h.")) found.push_back(spec.name);
    }
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({.embedding = true, .head = false}), (Names{"wte.weight", "wpe.weight"}));
  EXPECT_EQ(names({.embedding = false, .head = false}), Names{});
  EXPECT_EQ(names({.embedding = false, .head = true}), (Names{"wte.weight", "ln_f.weight", "ln_f.bias"}));
  EXPECT_EQ(names({}), (Names{"wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"}));
}

TEST_F(Parts, WithoutAHeadHaveNoLogits) {
  const auto bottom = part(0, 2, {.embedding = true, .head = false});
  EXPECT_THROW(bottom->last_logits(B, T), ConfigError);
}

// S5-17
TEST_F(Parts, WeightsInPlaceTakeNoMemoryAndGiveTheSameBits) {
  const auto host = make_backend("cpu", 2);
  alignas(Gpt::kPlaceAlignment) static float memory[1 << 17];
  ASSERT_LE(weights_.size(), std::size(memory));
  std::copy(weights_.begin(), weights_.end(), memory);
  Gpt model(*host, kConfig, B, [&](const ParameterSpec& spec) { return memory + spec.offset; });
  for (const MemoryUse& use : host->memory())
    EXPECT_EQ(use.what.find("parameters"), std::string::npos) << use.what;
  EXPECT_FALSE(host->memory().empty());

  host->upload(model.inputs(B, T).data, ids_.data(), B * T * 4);
  EXPECT_EQ(bits(download(*host, model.last_logits(B, T))), bits(logits_));
  EXPECT_TRUE(std::equal(weights_.begin(), weights_.end(), memory)) << "inference writes to no weight";
}

// S5-10
TEST_F(Parts, AModelThatIsMadeDrawsNoInitialValues) {
  const Gpt model(*backend_, kConfig, B, Gpt::Purpose::inference);
  const std::vector<float> values = download(*backend_, model.params());
  EXPECT_TRUE(std::all_of(values.begin(), values.end(),
                          [](float v) { return std::bit_cast<std::uint32_t>(v) == 0; }));
}

}  // namespace
}  // namespace zhgpt
