// Who watches a backend is told of every operation of a step, what it costs and who worked on it; and changes
// nothing.
#include <map>
#include <utility>

#include "train/fixture.h"
#include "zhgpt/plan.h"

namespace zhgpt::test {
namespace {

class Watch final : public Observer {
 public:
  struct Operation {
    OperationCost cost;
    Interval time;
    std::vector<std::pair<int, Interval>> shares;
  };
  void on_operation(const OperationCost& cost, Interval time) override {
    operations.push_back({cost, time, std::exchange(shares_, {})});
  }
  void on_share(int thread, Interval time) override { shares_.push_back({thread, time}); }
  void on_span(Place, const char* what, Interval) override { ++spans[what]; }

  std::map<std::string, int> calls() const {
    std::map<std::string, int> counts;
    for (const Operation& operation : operations) ++counts[operation.cost.operation];
    return counts;
  }
  double flops(const std::string& name) const { return sum(name, &OperationCost::flops); }
  double bytes(const std::string& name) const { return sum(name, &OperationCost::bytes); }

  std::vector<Operation> operations;
  std::map<std::string, int> spans;

 private:
  double sum(const std::string& name, double OperationCost::*value) const {
    double all = 0;
    for (const Operation& operation : operations) {
      if (operation.cost.operation == name) all += operation.cost.*value;
    }
    return all;
  }
  std::vector<std::pair<int, Interval>> shares_;
};

// Two layers, three windows of 48, two heads of 32, 301 characters.
Config watched_config(double dropout = 0) {
  Config config;
  config.model = {
      .n_layer = 2, .n_head = 2, .n_embd = 64, .block_size = 48, .vocab_size = 301, .dropout = dropout};
  config.train.batch_size = 3;
  config.train.gradient_accumulation_steps = 2;
  config.train.max_iters = 100;
  config.train.device = "cpu";
  return config;
}

Watch watched_step(const Config& config, int threads = 2) {
  TrainerKit kit(config, made_up_dataset(900, 0, 301), threads);
  kit->step();
  Watch watch;
  kit.backend->observe(&watch);
  kit->step();
  kit.backend->observe(nullptr);
  kit->step();
  return watch;
}

TEST(Observer, IsToldOfEveryOperationOfAStep) {
  const Watch watch = watched_step(watched_config());
  const std::map<std::string, int> want = {{"BeginStep", 1},
                                           {"zero", 1 + 2},
                                           {"GatherBatch", 2},
                                           {"EmbeddingForward", 2},
                                           {"LayerNormForward", 2},
                                           {"ResidualLayerNormForward", 2 * 4},
                                           {"LinearForward", 2 * 8},
                                           {"AttentionForward", 4},
                                           {"HeadLoss", 2},
                                           {"LinearBackwardInput", 16},
                                           {"LinearBackwardWeight", 16},
                                           {"AttentionBackward", 4},
                                           {"LayerNormBackward", 2 * 5},
                                           {"EmbeddingBackward", 2},
                                           {"AccumulateLoss", 2},
                                           {"GlobalNorm", 1},
                                           {"AdamW", 1},
                                           {"AdvanceStep", 1}};
  EXPECT_EQ(watch.calls(), want);
  EXPECT_EQ(watch.spans, (std::map<std::string, int>{{"step", 1}}));
}

TEST(Observer, OperationsFollowEachOtherAndHoldTheirShares) {
  for (const int threads : {1, 2, 3}) {
    const Watch watch = watched_step(watched_config(), threads);
    for (std::size_t i = 0; i < watch.operations.size(); ++i) {
      const auto& [cost, time, shares] = watch.operations[i];
      EXPECT_LE(time.begin, time.end);
      if (i > 0) EXPECT_LE(watch.operations[i - 1].time.end, time.begin);
      for (const auto& [thread, share] : shares) {
        EXPECT_TRUE(0 <= thread && thread < threads);
        EXPECT_LE(time.begin, share.begin) << cost.operation;
        EXPECT_LE(share.begin, share.end);
        EXPECT_LE(share.end, time.end);
      }
    }
  }
}

TEST(Observer, ChangesNoBit) {
  const Config config = watched_config(0.1);
  TrainerKit plain(config, made_up_dataset(900, 0, 301), 2), watched(config, made_up_dataset(900, 0, 301), 2);
  Watch watch;
  for (int i = 0; i < 6; ++i) {
    plain->step();
    watched.backend->observe(i % 3 ? &watch : nullptr);
    watched->step();
  }
  EXPECT_EQ(parameters_of(*plain), parameters_of(*watched));
}

// Arithmetic and bytes by hand, from the sizes alone.
TEST(Observer, CostsAreTheirFormulas) {
  const Watch watch = watched_step(watched_config());
  const double micro = 2, L = 2, B = 3, T = 48, N = B * T, C = 64, V = 301, NH = 2;
  EXPECT_EQ(watch.flops("LinearForward"), micro * L * 2 * N * 12 * C * C);
  EXPECT_EQ(watch.flops("LinearBackwardInput"), micro * L * 2 * N * 12 * C * C);
  EXPECT_EQ(watch.flops("LinearBackwardWeight"), micro * L * 2 * N * 12 * C * C);
  // Row i of a head sees i + 1 positions; 2 products forward and 5 backward, of 2 HS operations each.
  EXPECT_EQ(watch.flops("AttentionForward"), micro * L * B * C * 2 * 2 * T * (T + 1) / 2);
  EXPECT_EQ(watch.flops("AttentionBackward"), micro * L * B * C * 5 * 2 * T * (T + 1) / 2);
  EXPECT_EQ(watch.flops("HeadLoss"), micro * (6 * N * V * C + 8 * N * V));
  const auto P = static_cast<double>(ParameterTable(watched_config().model).flat_size());
  EXPECT_EQ(watch.bytes("AdamW"), 28 * P);  // parameters and moments read and written, gradients read
  EXPECT_EQ(watch.bytes("GlobalNorm"), 4 * P);
  EXPECT_EQ(watch.bytes("zero"), 4 * P + micro * 4 * N * C);
  // The stream and the branch in, the stream and its norm out, mean and rstd, weight and bias.
  EXPECT_EQ(watch.bytes("ResidualLayerNormForward"), micro * L * 2 * 4 * (4 * N * C + 2 * N + 2 * C));
  EXPECT_EQ(watch.bytes("AttentionForward"), micro * L * 4 * (4 * N * C + B * NH * T));
  // Of qkv, projection and MLP: inputs C + C + C + 4C wide, outputs 3C + C + 4C + C, the sum before GELU 4C.
  EXPECT_EQ(watch.bytes("LinearForward"), micro * L * 4 * (N * (7 + 9 + 4) * C + 12 * C * C + 9 * C));
  EXPECT_EQ(watch.bytes("GatherBatch"), micro * N * (4 + 4 + 2));
}

// What the launches of a GPU are booked for is what the operations cost at least, and what it takes on top to
// do it in several kernels.
TEST(Observer, TheLedgerOfAGpuAgrees) {
  for (const char* dtype : {"fp32", "bf16"}) {
    Config config = watched_config(0.1);
    config.train.device = "cuda";
    config.train.dtype = dtype;
    std::unique_ptr<Backend> backend;
    try {
      backend = make_dry_backend(config.train, kUnlimited);
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
    Dataset dataset = made_up_dataset(900, 0, 301);
    Trainer trainer(*backend, config, dataset);
    Watch watch;
    backend->take_launches();
    backend->observe(&watch);
    trainer.step();
    backend->observe(nullptr);
    std::map<std::string, OperationCost> booked;
    for (const OperationCost& launch : backend->take_launches()) {
      OperationCost& sum = booked[launch.operation];
      sum.flops += launch.flops;
      sum.bytes += launch.bytes;
    }
    for (const auto& [name, calls] : watch.calls()) {
      if (calls == 0 || name == "BeginStep" || name == "AdvanceStep") continue;  // some bytes
      // The gradients of queries and of keys are computed in two kernels, each of which needs two products
      // again.
      const double most = name == "AttentionBackward" ? 7.0 / 5 : 1.1;
      EXPECT_GE(booked[name].flops, 0.999 * watch.flops(name)) << name << " " << dtype;
      EXPECT_LE(booked[name].flops, most * watch.flops(name) + 1e5) << name << " " << dtype;
      EXPECT_GE(booked[name].bytes, 0.95 * watch.bytes(name)) << name << " " << dtype;
    }
  }
}

}  // namespace
}  // namespace zhgpt::test
