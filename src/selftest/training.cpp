// How two layers train on the device, beside the CPU.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "selftest/operands.h"
#include "zhgpt/messages.h"
#include "zhgpt/rng.h"
#include "zhgpt/selftest.h"
#include "zhgpt/trainer.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kSteps = 20;

// Heads of 32, rows that no tile divides, and a vocabulary that no pack does.
Config small_config(Precision precision) {
  Config config;
  config.model = {
      .n_layer = 2, .n_head = 2, .n_embd = 64, .block_size = 37, .vocab_size = 97, .dropout = 0.1};
  config.train.batch_size = 3;
  config.train.max_iters = kSteps;
  config.train.learning_rate = 3e-3;
  config.train.dtype = precision.dtype == DType::bf16 ? "bf16" : precision.tf32 ? "tf32" : "fp32";
  return config;
}

// Characters of which each follows from the one before, most of the time, so that there is something to
// learn.
Dataset made_up_text(std::int64_t vocab_size) {
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int64_t id = 2; id < vocab_size; ++id)
    code_points.push_back(static_cast<std::int32_t>(0x4E00 + id));
  Dataset dataset;
  dataset.vocab = Vocabulary::from_code_points(code_points);
  std::vector<std::uint16_t> ids;
  std::int64_t id = 2;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const PhiloxBlock r = random_block(1, RandomStream::init, 0, 0, i);
    id = 2 + (r[0] % 4 == 0 ? static_cast<std::int64_t>(r[1]) : id * 5 + 3) % (vocab_size - 2);
    ids.push_back(static_cast<std::uint16_t>(id));
  }
  dataset.train = token_array(DType::u16, std::as_bytes(std::span(ids)));
  return dataset;
}

// A model with a batch on it, whose gradients can be had again and again.
class Gradients {
 public:
  Gradients(Backend& backend, const Config& config, DType dtype)
      : backend_(backend),
        config_(config),
        model_(backend, config.model, config.train.batch_size, Gpt::Purpose::training, dtype),
        state_(backend.allocate(sizeof(StepState), "the step's state")) {
    const std::int64_t B = config.train.batch_size, T = config.model.block_size;
    const Dataset text = made_up_text(config.model.vocab_size);
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i <= B * T; ++i) ids.push_back(text.train[i]);
    model_.set_parameters(model_.table().initial_values(7));
    backend.upload(model_.inputs(B, T).data, ids.data(), B * T * 4);
    backend.upload(model_.targets(B, T).data, ids.data() + 1, B * T * 4);
    const StepState state{.step = 5, .seed = 11};
    backend.upload(state_.data(), &state, sizeof state);
  }

  const ParameterTable& table() const { return model_.table(); }
  void compute() {
    const std::int64_t B = config_.train.batch_size, T = config_.model.block_size;
    backend_.zero(model_.grads().data, model_.grads().bytes());
    model_.forward_backward(B, T, 1.0 / static_cast<double>(B * T),
                            {.p = static_cast<float>(config_.model.dropout),
                             .state = static_cast<const StepState*>(state_.data())});
  }
  std::vector<double> values() { return selftest::read(backend_, model_.grads()); }

 private:
  Backend& backend_;
  Config config_;
  Gpt model_;
  Buffer state_;
};

SelftestLine line_of(const std::string& name, double error, double bound) {
  return {.name = name, .error = error, .bound = bound, .ok = error <= bound};  // a NaN is wrong
}

// The norm of the error of a tensor over its own, of the worst tensor.
SelftestLine compare_gradients(const ParameterTable& table, const std::vector<double>& got,
                               const std::vector<double>& want, double bound) {
  SelftestLine line = line_of(tr(Msg::selftest_gradients), 0, bound);
  for (const ParameterSpec& spec : table.specs()) {
    double error = 0, size = 0;
    for (std::int64_t i = spec.offset; i < spec.offset + spec.numel; ++i) {
      const auto at = static_cast<std::size_t>(i);
      error += (got[at] - want[at]) * (got[at] - want[at]);
      size += want[at] * want[at];
    }
    const double relative = std::sqrt(error / size);
    if (relative <= line.error) continue;
    line.error = std::isfinite(relative) ? relative : std::numeric_limits<double>::infinity();
    line.output = spec.name;
  }
  line.ok = line.error <= bound;
  return line;
}

// The state after each of the steps: what a run did, bit by bit.
std::vector<StepState> train(Backend& backend, const Config& config) {
  Dataset text = made_up_text(config.model.vocab_size);
  Trainer trainer(backend, config, text);
  std::vector<StepState> states;
  for (std::int64_t i = 0; i < kSteps; ++i) {
    trainer.step();
    states.push_back(trainer.state());
  }
  return states;
}

bool same_bits(const StepState& a, const StepState& b) {
  return a.step == b.step && std::bit_cast<std::uint32_t>(a.loss) == std::bit_cast<std::uint32_t>(b.loss) &&
         std::bit_cast<std::uint32_t>(a.grad_norm) == std::bit_cast<std::uint32_t>(b.grad_norm);
}

}  // namespace

void check_training(Backend& device, Precision precision, const SelftestReport& report) {
  const auto cpu = make_backend("cpu", 0);
  const Config config = small_config(precision);
  const bool rounded = precision.dtype == DType::bf16 || precision.tf32;

  Gradients exact(*cpu, config, DType::f64), ours(device, config, precision.dtype);
  exact.compute();
  ours.compute();
  const std::vector<double> want = exact.values(), got = ours.values();
  // In bf16 each of some ten steps between loss and tensor rounds to 8 bits.
  report(compare_gradients(ours.table(), got, want, rounded ? 3e-2 : 1e-5));

  const auto recorded = device.record([&] { ours.compute(); });
  double differences = 0;
  for (int replay = 0; replay < 3; ++replay) {  // the second captures, the third does nothing but replay
    recorded->replay();
    const std::vector<double> again = ours.values();
    for (std::size_t i = 0; i < got.size(); ++i) differences += again[i] != got[i];
  }
  report(line_of(tr(Msg::selftest_recorded), differences, 0));

  const Config on_cpu = small_config({});
  const std::vector<StepState> states = train(device, config), again = train(device, config),
                               beside = train(*cpu, on_cpu);
  double off = 0;
  std::int64_t different = 0;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const double difference =
        std::abs(static_cast<double>(states[i].loss) - static_cast<double>(beside[i].loss));
    off = std::isfinite(difference) ? std::max(off, difference) : std::numeric_limits<double>::infinity();
    different += !same_bits(states[i], again[i]);
  }
  report(line_of(tr(Msg::selftest_losses), off, rounded ? 2e-2 : 1e-4));
  report(line_of(tr(Msg::selftest_repeat), static_cast<double>(different), 0));
}

}  // namespace zhgpt
