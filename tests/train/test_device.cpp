// A whole training step on a CUDA device, real or the host runtime's: gradients against the CPU's in double,
// losses beside the CPU's, and the same bits from run to run, from a graph or not, resumed or not.
#include <algorithm>
#include <cmath>

#include "train/async_saver.h"
#include "train/device_fixture.h"
#include "zhgpt/plan.h"

namespace zhgpt {
namespace {

using test::device_config;
using test::OnCuda;
using test::StepBits;
using test::take_order;
using test::TrainerKit;

Dataset device_text() {
  return test::made_up_dataset(900, 60, 37);
}

// All gradients of one micro-batch, in table order.
std::vector<double> gradients(Backend& backend, const Config& config, DType dtype) {
  const std::int64_t B = config.train.batch_size, T = config.model.block_size;
  Gpt model(backend, config.model, B, Gpt::Purpose::training, dtype);
  model.set_parameters(model.table().initial_values(7));
  const auto ids = test::made_up_ids(B * T + 1, config.model.vocab_size, 3);
  backend.upload(model.inputs(B, T).data, ids.data(), B * T * 4);
  backend.upload(model.targets(B, T).data, ids.data() + 1, B * T * 4);
  const StepState state{.step = 5, .seed = 11};
  const Buffer device_state = backend.allocate(sizeof state, "state");
  backend.upload(device_state.data(), &state, sizeof state);
  model.forward_backward(B, T, 1.0 / static_cast<double>(B * T),
                         {.p = static_cast<float>(config.model.dropout),
                          .state = static_cast<const StepState*>(device_state.data())});
  backend.synchronize();
  const Tensor grads = model.grads();
  std::vector<double> out(static_cast<std::size_t>(grads.numel()));
  if (grads.dtype == DType::f64) {
    backend.download(out.data(), grads.data, grads.bytes());
  } else {
    std::vector<float> values(out.size());
    backend.download(values.data(), grads.data, grads.bytes());
    out.assign(values.begin(), values.end());
  }
  return out;
}

TEST_P(OnCuda, EveryGradientIsTheCpusInDouble) {
  const auto cpu = make_backend("cpu", 1), cuda = make_backend("cuda", 1);
  const auto want = gradients(*cpu, config(), DType::f64);
  const auto got = gradients(*cuda, config(), is_bf16() ? DType::bf16 : DType::f32);
  const ParameterTable table(config().model);
  for (const ParameterSpec& spec : table.specs()) {
    double error = 0, size = 0;
    for (std::int64_t i = spec.offset; i < spec.offset + spec.numel; ++i) {
      const auto at = static_cast<std::size_t>(i);
      error += (got[at] - want[at]) * (got[at] - want[at]);
      size += want[at] * want[at];
    }
    // f32: sums of some hundred rounded terms. bf16: each of some ten steps between loss and tensor rounds to
    // 8 bits.
    EXPECT_LE(std::sqrt(error), (is_bf16() ? 3e-2 : 1e-5) * std::sqrt(size)) << spec.name;
    EXPECT_GT(size, 0) << spec.name;
  }
}

TEST_P(OnCuda, TwentyStepsFollowTheCpu) {
  TrainerKit cpu(device_config("cpu", "fp32"), device_text()), cuda(config(), device_text());
  float first = 0, last = 0;
  for (int i = 0; i < 20; ++i) {
    cpu->step();
    cuda->step();
    const StepState want = cpu->state();
    const auto got = cuda->finished_steps(true);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].step, want.step);
    EXPECT_EQ(got[0].learning_rate, want.learning_rate);
    ASSERT_LE(std::abs(got[0].loss - want.loss), is_bf16() ? 2e-2f : 1e-4f) << "step " << want.step;
    (i == 0 ? first : last) = want.loss;
  }
  EXPECT_LT(last, first - 0.1f);  // there was something to follow
}

std::vector<StepBits> trace_of(const Config& config, std::int64_t steps, std::uint64_t* hash) {
  TrainerKit kit(config, device_text());
  std::vector<StepBits> trace;
  test::step_until(*kit, steps, &trace);
  *hash = state_hash(kit->snapshot());
  return trace;
}

TEST_P(OnCuda, RunsAreBitIdenticalInAnyOrderOfThreads) {
  Config two_batches = config();
  two_batches.train.gradient_accumulation_steps = 2;
  std::uint64_t hash = 0, other_hash = 0;
  take_order(0);
  const auto trace = trace_of(two_batches, 4, &hash);
  for (const std::uint64_t seed : {1, 5}) {
    take_order(seed);
    EXPECT_EQ(trace_of(two_batches, 4, &other_hash), trace);
    EXPECT_EQ(other_hash, hash);
  }
  take_order(0);
}

TEST_P(OnCuda, ResumedIsNeverStopped) {
  std::uint64_t hash = 0;
  const auto trace = trace_of(config(), 5, &hash);
  const test::TempDirectory directory;
  {
    TrainerKit kit(config(), device_text());
    test::step_until(*kit, 3);  // the first runs op by op, the next two are replays
    save_checkpoint(directory.file("state.bin"), kit->snapshot(), true);
  }
  TrainerKit kit(Checkpoint::open(directory.file("state.bin")), device_text());
  std::vector<StepBits> rest;
  test::step_until(*kit, 5, &rest);
  EXPECT_EQ(rest, std::vector<StepBits>(trace.begin() + 3, trace.end()));
  EXPECT_EQ(state_hash(kit->snapshot()), hash);
}

TEST_P(OnCuda, ACheckpointGoesOnOnTheCpuAndBack) {
  const test::TempDirectory directory;
  TrainerKit stays(config(), device_text());
  test::step_until(*stays, 6);
  {
    TrainerKit cuda(config(), device_text());
    test::step_until(*cuda, 2);
    save_checkpoint(directory.file("cuda.bin"), cuda->snapshot(), true);
  }
  {
    TrainerKit cpu(Checkpoint::open(directory.file("cuda.bin")), device_config("cpu", "fp32"), device_text(),
                   1);
    test::step_until(*cpu, 4);
    save_checkpoint(directory.file("cpu.bin"), cpu->snapshot(), true);
  }
  TrainerKit back(Checkpoint::open(directory.file("cpu.bin")), config(), device_text(), 1);
  test::step_until(*back, 6);
  EXPECT_NEAR(back->state().loss, stays->state().loss, is_bf16() ? 2e-2 : 1e-4);
}

// Steps that are watched run operation by operation, those around them as a graph.
TEST_P(OnCuda, WatchedStepsHaveTheBitsOfTheGraph) {
  struct Counter final : Observer {
    void on_operation(const OperationCost&, Interval) override { ++operations; }
    int operations = 0;
  };
  std::uint64_t hash = 0;
  const auto trace = trace_of(config(), 6, &hash);
  TrainerKit kit(config(), device_text());
  std::vector<StepBits> watched;
  Counter counter;
  test::step_until(*kit, 3, &watched);
  kit.backend->observe(&counter);
  test::step_until(*kit, 4, &watched);
  const int a_step = counter.operations;
  test::step_until(*kit, 5, &watched);
  kit.backend->observe(nullptr);
  test::step_until(*kit, 6, &watched);
  EXPECT_EQ(watched, trace);
  EXPECT_EQ(state_hash(kit->snapshot()), hash);
  EXPECT_GT(a_step, 30);
  EXPECT_EQ(counter.operations, 2 * a_step);
}

// S5-43, on a device that is not the host: saved beside steps, which are replays of a graph by then
TEST_P(OnCuda, SavedBesideTheTrainingAreTheBitsOfASaveOnTheSpot) {
  const test::TempDirectory directory;
  for (const std::uint64_t seed : {0, 5}) {
    take_order(seed);
    TrainerKit kit(config(), device_text());
    AsyncSaver saver(*kit, directory.path());
    for (const std::int64_t step : {1, 4, 7}) {
      test::step_until(*kit, step);
      Snapshot expected = kit->snapshot();
      expected.progress.set("planned_save", "false");
      save_checkpoint(directory.file("expected"), expected, true);
      saver.begin({.name = "beside.bin", .is_best = false, .is_planned = false, .keep = {}});
      for (int i = 0; i < 2; ++i) kit->step();
      const auto outcome = saver.finished(true);
      ASSERT_TRUE(outcome && outcome->error.empty()) << outcome->error;
      EXPECT_TRUE(test::contents(directory.file("beside.bin")) == test::contents(directory.file("expected")))
          << step;
    }
  }
  take_order(0);
}

#ifdef ZHGPT_SIMT
constexpr std::int64_t kDeviceBytes = std::int64_t{2} << 30;
#endif

// Leaves so many bytes on the device for as long as it lives.
class LittleMemory {
 public:
#ifdef ZHGPT_SIMT
  static constexpr std::int64_t kMiB = 5;
  LittleMemory() {
    simt::set_device_memory_limit(kMiB << 20);
  }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;
  ~LittleMemory() {
    simt::set_device_memory_limit(kDeviceBytes);
  }
#else
  static constexpr std::int64_t kMiB = 384;  // libraries have their own there

 private:
  std::unique_ptr<Backend> backend_ = make_backend("cuda", 1);
  Buffer hog_ = backend_->allocate(backend_->free_memory_bytes() - (kMiB << 20), "most of the device");
#endif
};
// More than half of that. Its first part repeats, so that it is quickly made.
Dataset long_text() {
  Dataset dataset = device_text();
  std::vector<std::byte> bytes;
  while (bytes.size() < LittleMemory::kMiB * std::size_t{600'000}) {
    const auto part = dataset.train.bytes();
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  dataset.train = token_array(dataset.train.dtype, bytes);
  return dataset;
}

// Steps without looking, so that the host runs ahead; then what became of them.
std::vector<StepBits> unwatched(Trainer& trainer, std::int64_t steps) {
  while (trainer.steps_done() < steps) trainer.step();
  std::vector<StepBits> trace;
  for (const StepState& s : trainer.finished_steps(true)) {
    trace.push_back(
        {s.step, std::bit_cast<std::uint32_t>(s.loss), std::bit_cast<std::uint32_t>(s.grad_norm)});
  }
  return trace;
}

TEST_P(OnCuda, ATextTooLongForTheDeviceGivesTheSameBits) {
  constexpr std::int64_t kSteps = 7;
  Config two_batches = config();
  two_batches.train.gradient_accumulation_steps = 2;
  std::vector<StepBits> want;
  {
    TrainerKit kit(two_batches, long_text());
    EXPECT_TRUE(kit->text_is_on_device());
    want = unwatched(*kit, kSteps);
    ASSERT_EQ(want.size(), static_cast<std::size_t>(kSteps));
  }
  const LittleMemory little;
  const test::TempDirectory directory;
  for (const std::uint64_t seed : {0, 1, 5}) {
    take_order(seed);
    TrainerKit kit(two_batches, long_text());
    ASSERT_FALSE(kit->text_is_on_device());
    EXPECT_EQ(unwatched(*kit, 3), std::vector<StepBits>(want.begin(), want.begin() + 3));
    save_checkpoint(directory.file("state.bin"), kit->snapshot(), true);
    EXPECT_EQ(unwatched(*kit, kSteps), std::vector<StepBits>(want.begin() + 3, want.end()));
  }
  take_order(0);
  TrainerKit resumed(Checkpoint::open(directory.file("state.bin")), two_batches, long_text(), 1);
  ASSERT_FALSE(resumed->text_is_on_device());
  EXPECT_EQ(unwatched(*resumed, kSteps), std::vector<StepBits>(want.begin() + 3, want.end()));
}

#ifdef ZHGPT_SIMT
TEST_P(OnCuda, CudnnIsRefusedWhereItIsNot) {
  Config wants = config();
  wants.train.attention = "cudnn";
  EXPECT_THROW(make_backend(wants.train), ConfigError);
}

TEST_P(OnCuda, APlanIsWhatIsTaken) {
  const std::int64_t planned = plan_run(config(), 900).memory_bytes;
  TrainerKit kit(config(), device_text());
  EXPECT_EQ(kDeviceBytes - kit.backend->free_memory_bytes(), planned);
  test::step_until(*kit, 2);  // nothing that the run does later takes more
  kit->evaluate(2);
  EXPECT_EQ(kDeviceBytes - kit.backend->free_memory_bytes(), planned);
  std::int64_t listed = 0;
  for (const MemoryUse& use : kit.backend->memory()) listed += use.bytes;
  EXPECT_EQ(listed, planned);
}

TEST_P(OnCuda, TheLargestBatchFitsAndOneMoreSaysSo) {
  Config fits = config();
  fits.train.batch_size = 5;
  const std::int64_t little = plan_run(fits, 900).memory_bytes + 100;
  ASSERT_EQ(largest_batch(fits, 900, little), 5);
  simt::set_device_memory_limit(static_cast<std::size_t>(little));
  {
    TrainerKit kit(fits, device_text());
    test::step_until(*kit, 1);
  }
  Config one_more = fits;
  ++one_more.train.batch_size;
  try {
    const auto backend = make_backend("cuda", 1);
    Dataset dataset = device_text();
    make_trainer(*backend, one_more, dataset);
    ADD_FAILURE() << "it fitted";
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    for (const std::string& part :
         {std::string("no room for "), to_text(plan_run(one_more, 900, little).memory_bytes), to_text(little),
          "--batch-size " + to_text(fits.train.batch_size)}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
  }
  simt::set_device_memory_limit(kDeviceBytes);
}
#endif

ZHGPT_IN_BOTH_DTYPES(OnCuda);

}  // namespace
}  // namespace zhgpt
