// What a run would take, against what it takes; and the ledger of a CUDA step against formulas.
#include "zhgpt/plan.h"

#include <algorithm>
#include <cmath>

#include "train/fixture.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {

bool operator==(const MemoryUse& a, const MemoryUse& b) {
  return a.what == b.what && a.bytes == b.bytes;
}
void PrintTo(const MemoryUse& use, std::ostream* out) {
  *out << use.what << ": " << use.bytes;
}

namespace {

Config plan_config(const char* device) {
  Config config = test::small_config();
  config.model = {
      .n_layer = 2, .n_head = 4, .n_embd = 64, .block_size = 48, .vocab_size = 301, .dropout = 0.1};
  config.train.batch_size = 3;
  config.train.gradient_accumulation_steps = 2;
  config.train.device = device;
  config.train.threads = 2;
  return config;
}

TEST(PlanOnCpu, IsWhatATrainerTakes) {
  const Config config = plan_config("cpu");
  Dataset dataset = test::made_up_dataset(900, 200, config.model.vocab_size);
  const auto backend = make_backend("cpu", 2);
  {
    Trainer trainer(*backend, config, dataset);
    const auto planned = plan_run(config, dataset.train.count).memory;
    EXPECT_EQ(backend->memory(), planned);
    EXPECT_EQ(planned.back().what, "scratch memory");
    trainer.step();  // nothing that the run does later takes more
    trainer.evaluate(2);
    UncachedGenerator generator(trainer.model());
    generator.start({}, 0);
    for (int i = 0; i < 60; ++i) generator.next({});
    EXPECT_EQ(backend->memory(), planned);
  }
  EXPECT_EQ(backend->memory().size(), 1u);  // its scratch memory stays
}

TEST(PlanOnCpu, CountsEveryTensorOfTheModel) {
  const Config config = plan_config("cpu");
  const RunPlan plan = plan_run(config, 900);
  const std::int64_t P = ParameterTable(config.model).flat_size();
  for (const char* flat : {"parameters", "gradients", "Adam's first moments", "Adam's second moments"}) {
    EXPECT_EQ(std::count(plan.memory.begin(), plan.memory.end(), MemoryUse{flat, 4 * P}), 1) << flat;
  }
  EXPECT_EQ(std::count(plan.memory.begin(), plan.memory.end(), MemoryUse{"copy to save from", 12 * P}), 1);
  EXPECT_EQ(std::count(plan.memory.begin(), plan.memory.end(), MemoryUse{"training text", 2 * 900}), 1);
  std::int64_t sum = 0;
  for (const MemoryUse& use : plan.memory) sum += use.bytes;
  EXPECT_EQ(plan.memory_bytes, sum);
  EXPECT_EQ(plan.tokens_per_step, 3 * 48 * 2);
  EXPECT_TRUE(plan.launches.empty());
}

Config more_than_any_machine_has() {
  Config config = plan_config("cpu");
  config.model.n_layer = 64;
  config.train.batch_size = 1 << 20;
  return config;
}

TEST(PlanOnCpu, TakesNoMemoryItself) {
  EXPECT_GT(plan_run(more_than_any_machine_has(), 900).memory_bytes, std::int64_t{1} << 43);
}

void expect_largest(const Config& config, std::int64_t memory_bytes) {
  const std::int64_t batch = largest_batch(config, 900, memory_bytes);
  ASSERT_GT(batch, 0);
  Config with_batch = config;
  with_batch.train.batch_size = batch;
  EXPECT_LE(plan_run(with_batch, 900).memory_bytes, memory_bytes);
  ++with_batch.train.batch_size;
  EXPECT_GT(plan_run(with_batch, 900).memory_bytes, memory_bytes);
}

TEST(PlanOnCpu, TheLargestBatchFitsAndOneMoreDoesNot) {
  const Config config = plan_config("cpu");
  for (const std::int64_t mb : {6, 20, 300}) expect_largest(config, mb * 1'000'000);
  Config one = config;
  one.train.batch_size = 1;
  const std::int64_t least = plan_run(one, 900).memory_bytes;
  EXPECT_EQ(largest_batch(config, 900, least), 1);
  EXPECT_EQ(largest_batch(config, 900, least - 1), 0);
}

TEST(PlanOnCpu, ARunThatDoesNotFitSaysWhatWould) {
  const Config config = more_than_any_machine_has();
  Dataset dataset = test::made_up_dataset(900, 200, config.model.vocab_size);
  const auto backend = make_backend("cpu", 2);
  try {
    make_trainer(*backend, config, dataset);
    ADD_FAILURE() << "it fitted";
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("no room for activations"), std::string::npos) << text;
    EXPECT_NE(text.find(to_text(plan_run(config, 900, 0).memory_bytes)), std::string::npos) << text;
    EXPECT_NE(text.find("--batch-size "), std::string::npos) << text;
  }
  EXPECT_TRUE(backend->memory().empty());
}

class PlanOnCuda : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    config_.train.dtype = GetParam();
    try {
      make_dry_backend("cuda", 1, {}, 0);
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  std::string dtype() const { return GetParam(); }
  // Launches of one operation, and their arithmetic.
  struct Sum {
    std::int64_t launches = 0;
    double flops = 0, bytes = 0;
  };
  static Sum sum_of(const RunPlan& plan, const std::string& operation) {
    Sum sum;
    for (const OperationCost& launch : plan.launches) {
      if (!operation.empty() && launch.operation != operation) continue;
      ++sum.launches;
      sum.flops += launch.flops;
      sum.bytes += launch.bytes;
    }
    return sum;
  }
  Config config_ = plan_config("cuda");
};

TEST_P(PlanOnCuda, ProductsAreTheirFormulas) {
  const RunPlan plan = plan_run(config_, 900);
  const double L = 2, B = 3, T = 48, N = B * T, C = 64, V = 301, micro = 2;
  // qkv, projection and the two of the MLP: C (3 + 1 + 4 + 4) C multiplications a row, two operations each.
  EXPECT_EQ(sum_of(plan, "LinearForward").flops, micro * L * 2 * N * 12 * C * C);
  EXPECT_EQ(sum_of(plan, "LinearForward").launches, micro * L * 4);
  EXPECT_EQ(sum_of(plan, "LinearBackwardInput").flops, micro * L * 2 * N * 12 * C * C);
  // Row i of a head sees i + 1 positions, in two products of 2 HS operations each.
  EXPECT_EQ(sum_of(plan, "AttentionForward").flops, micro * L * B * C * 4 * T * (T + 1) / 2);
  // Logits and their two gradients; the softmax comes on top.
  const double head = sum_of(plan, "HeadLoss").flops;
  EXPECT_GE(head, micro * 6 * N * V * C);
  EXPECT_LE(head, micro * (6 * N * V * C + 20 * N * V));
  EXPECT_EQ(sum_of(plan, "AdamW").launches, 1);
  EXPECT_EQ(sum_of(plan, "GatherBatch").launches, micro);
  // Parameters, moments, written and read; gradients read; a working copy written.
  const auto P = static_cast<double>(ParameterTable(config_.model).flat_size());
  EXPECT_EQ(sum_of(plan, "AdamW").bytes, P * (dtype() == "bf16" ? 30 : 28));
}

TEST_P(PlanOnCuda, AStepIsMostlyProducts) {
  config_.model = {.n_layer = 2, .n_head = 12, .n_embd = 768, .block_size = 256, .vocab_size = 8192};
  config_.train.batch_size = 8;
  config_.train.gradient_accumulation_steps = 1;
  const double L = 2, T = 256, N = 8 * T, C = 768, V = 8192;
  const double products = 72 * L * N * C * C + 6 * N * V * C, attention = L * (2 + 7) * N * (T + 1) * C;
  const double all = sum_of(plan_run(config_, 900), "").flops;
  EXPECT_GE(all, products + attention);
  EXPECT_LE(all, 1.02 * (products + attention));
}

TEST_P(PlanOnCuda, ArithmeticIsOfTheDtype) {
  const Arithmetic of_products = dtype() == "bf16"   ? Arithmetic::bf16
                                 : dtype() == "tf32" ? Arithmetic::tf32
                                                     : Arithmetic::fp32;
  for (const OperationCost& launch : plan_run(config_, 900).launches) {
    const std::string operation = launch.operation;
    if (operation != "LinearForward" && operation != "AdamW") continue;
    EXPECT_EQ(launch.arithmetic, operation == "AdamW" ? Arithmetic::fp32 : of_products) << operation;
  }
}

TEST_P(PlanOnCuda, MemoryIsOfTheDtype) {
  const RunPlan plan = plan_run(config_, 900);
  const std::int64_t P = ParameterTable(config_.model).flat_size();
  const auto count = [&](const char* what, std::int64_t bytes) {
    return std::count(plan.memory.begin(), plan.memory.end(), MemoryUse{what, bytes});
  };
  EXPECT_EQ(plan.dtype, dtype() == "bf16" ? DType::bf16 : DType::f32);
  EXPECT_EQ(count("parameters", 4 * P), 1);
  EXPECT_EQ(count("parameters in bf16", 2 * P), dtype() == "bf16" ? 1 : 0);
  expect_largest(config_, 80'000'000'000);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, PlanOnCuda, ::testing::Values("fp32", "tf32", "bf16"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Cards, AreFoundByTheNamesThatDriversGive) {
  EXPECT_STREQ(find_card("cuda:0, NVIDIA H200")->name, "H200");
  EXPECT_STREQ(find_card("NVIDIA A100-SXM4-80GB")->name, "A100");
  EXPECT_STREQ(find_card("rtx 4090")->name, "RTX 4090");
  EXPECT_EQ(find_card("an unknown card"), nullptr);
  EXPECT_EQ(find_card(""), nullptr);
}

TEST(Cards, ALaunchTakesTheLongerOfArithmeticAndTraffic) {
  const Card card{"", 1e12, 4e12, 8e12, 2e12, 0};
  EXPECT_DOUBLE_EQ(card.roofline_s({"", 4e12, 2e12, Arithmetic::fp32}), 4);
  EXPECT_DOUBLE_EQ(card.roofline_s({"", 4e12, 1e12, Arithmetic::tf32}), 1);
  EXPECT_DOUBLE_EQ(card.roofline_s({"", 4e12, 4e12, Arithmetic::bf16}), 2);
}

}  // namespace
}  // namespace zhgpt
