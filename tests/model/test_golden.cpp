// The whole model against PyTorch's float64 numbers: loss, every gradient, logits, and 50 AdamW steps.
#include <gtest/gtest.h>

#include <cmath>

#include "support/golden.h"
#include "zhgpt/optimizer.h"

namespace zhgpt {
namespace {

using test::golden;
using test::golden_ids;

template <class T>
std::vector<T> download(Backend& backend, Tensor tensor) {
  std::vector<T> out(static_cast<std::size_t>(tensor.numel()));
  backend.download(out.data(), tensor.data, tensor.bytes());
  return out;
}

class Golden : public ::testing::TestWithParam<DType> {
 protected:
  static constexpr std::int64_t B = 3, T = 9;
  Golden() : backend_(make_backend("cpu", 2)), model_(*backend_, test::golden_config(), B, Gpt::Purpose::training, GetParam()) {
    model_.set_parameters(test::golden_parameters(model_.table()));
  }
  void put_batch(const std::string& prefix, bool padded) {
    const auto inputs = golden_ids(prefix + "inputs", B * T, false), targets = golden_ids(prefix + "targets", B * T, padded);
    backend_->upload(model_.inputs(B, T).data, inputs.data(), B * T * 4);
    backend_->upload(model_.targets(B, T).data, targets.data(), B * T * 4);
  }
  std::vector<double> read(Tensor tensor) {
    if (GetParam() == DType::f64) return download<double>(*backend_, tensor);
    const auto values = download<float>(*backend_, tensor);
    return {values.begin(), values.end()};
  }
  double sum_of_losses() {
    double sum = 0;
    for (double loss : read(model_.losses(B, T))) sum += loss;
    return sum;
  }
  // float32 has 24 bits and a gradient sums about a thousand terms of order one; float64 agrees with torch's float64.
  double tolerance() const { return GetParam() == DType::f64 ? 1e-12 : 1e-5; }

  std::unique_ptr<Backend> backend_;
  Gpt model_;
};

TEST_P(Golden, LossAndEveryGradientAreThoseOfPyTorch) {
  put_batch("", true);
  ASSERT_EQ(golden()["inputs"][1][2], golden_ids("inputs", B * T, false)[11]);  // the formula is the file's
  const auto targets = golden_ids("targets", B * T, true);
  const auto valid = static_cast<double>(std::count_if(targets.begin(), targets.end(), [](auto t) { return t >= 0; }));
  model_.forward_backward(B, T, 1 / valid, Dropout{});
  EXPECT_NEAR(sum_of_losses() / valid, golden()["loss"].get<double>(), tolerance() * 5);

  const std::vector<double> grads = read(model_.grads());
  std::size_t compared = 0;
  for (const ParameterSpec& spec : model_.table().specs()) {
    const auto& expected = golden()["gradients"].at(spec.name);
    ASSERT_EQ(expected.size(), static_cast<std::size_t>(spec.numel)) << spec.name;
    for (std::int64_t i = 0; i < spec.numel; ++i, ++compared) {
      const double want = expected[static_cast<std::size_t>(i)], got = grads[static_cast<std::size_t>(spec.offset + i)];
      ASSERT_TRUE(std::abs(got - want) <= tolerance()) << spec.name << "[" << i << "]: got " << got << ", PyTorch " << want;
    }
  }
  EXPECT_EQ(compared, static_cast<std::size_t>(model_.table().count()));
}

TEST_P(Golden, LogitsOfTheLastPosition) {
  put_batch("", true);
  const std::vector<double> logits = read(model_.last_logits(1, T));
  const auto& expected = golden()["last_logits_of_row_0"];
  ASSERT_EQ(logits.size(), expected.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    ASSERT_TRUE(std::abs(logits[i] - expected[i].get<double>()) <= tolerance() * 2) << i;
  }
}

TEST_P(Golden, FiftyAdamWStepsFollowPyTorch) {
  Optimizer optimizer(model_);
  const auto& adamw = golden()["adamw"];
  TrainConfig config;
  config.learning_rate = adamw["lr"];
  config.beta1 = adamw["betas"][0];
  config.beta2 = adamw["betas"][1];
  config.eps = adamw["eps"];
  config.weight_decay = adamw["weight_decay"];
  config.grad_clip = adamw["max_norm"];
  StepState initial;
  initial.learning_rate = static_cast<float>(config.learning_rate);
  Buffer state = backend_->allocate(sizeof initial, "state");
  backend_->upload(state.data(), &initial, sizeof initial);
  auto* device_state = static_cast<StepState*>(state.data());

  for (int step = 0; step < adamw["steps"].get<int>(); ++step) {
    put_batch("batch" + std::to_string(step % 4) + ".", false);
    backend_->zero(model_.grads().data, model_.grads().bytes());
    model_.forward_backward(B, T, 1.0 / (B * T), Dropout{});
    EXPECT_NEAR(sum_of_losses() / (B * T), adamw["float64"]["loss"][static_cast<std::size_t>(step)].get<double>(), 1e-4) << step;
    optimizer.step(config, device_state);
    StepState now;
    backend_->download(&now, device_state, sizeof now);
    EXPECT_NEAR(now.grad_norm, adamw["float64"]["grad_norm"][static_cast<std::size_t>(step)].get<double>(), 1e-4) << step;
    EXPECT_EQ(now.step, step + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, Golden, ::testing::Values(DType::f32, DType::f64),
                         [](const auto& param_info) { return std::string(dtype_name(param_info.param)); });

}  // namespace
}  // namespace zhgpt
