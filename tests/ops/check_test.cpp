// Backend::check refuses what does not fit the contract, and says which operand, what it got and what it
// expected. The factory refuses what it does not know.
#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"
#include "zhgpt/messages.h"

namespace zhgpt::test {
namespace {

class Check : public ::testing::Test {
 protected:
  template <class Op>
  std::string refusal(const Op& op) {
    try {
      bench_.run(op);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }
  Tensor real(std::initializer_list<Index> shape) { return bench_.filled(0, shape); }
  Tensor ids(std::initializer_list<Index> shape) {
    const Index count = Tensor(nullptr, DType::i32, shape).numel();
    return bench_.ints(std::vector<std::int32_t>(static_cast<std::size_t>(count)), shape);
  }

  Workbench bench_{{"cpu", DType::f32}, 1};
};

TEST_F(Check, WrongShapeNamesOperandGotAndExpected) {
  EXPECT_EQ(refusal(LinearForward{real({3, 4}), {}, real({3, 5}), real({4, 6}), real({4})}),
            "LinearForward: weight: got (4, 6), expected (4, 5)");
  EXPECT_EQ(refusal(LinearForward{real({3, 4}), {}, real({2, 5}), real({4, 5}), {}}),
            "LinearForward: inp: got (2, 5), expected (3, 5)");
}

TEST_F(Check, WrongTypeIsRefused) {
  EXPECT_EQ(refusal(LinearForward{real({3, 4}), {}, real({3, 5}), ids({4, 5}), {}}),
            "LinearForward: weight: got i32, expected f32");
  EXPECT_EQ(refusal(LinearForward{ids({3, 4}), {}, real({3, 5}), real({4, 5}), {}}),
            "LinearForward: out: got i32, expected f32, f64 or bf16");
}

TEST_F(Check, MissingTensorIsRefused) {
  EXPECT_EQ(refusal(LinearForward{real({3, 4}), {}, {}, real({4, 5}), {}}),
            "LinearForward: inp: got no tensor, expected one");
}

TEST_F(Check, EmptyAxisAndWrongRankAreRefused) {
  EXPECT_EQ(refusal(LinearForward{real({0, 4}), {}, real({0, 5}), real({4, 5}), {}}),
            "LinearForward: out: got (0, 4), expected no empty axis");
  EXPECT_EQ(refusal(LinearForward{real({3, 4, 1}), {}, real({3, 5}), real({4, 5}), {}}),
            "LinearForward: out: got (3, 4, 1), expected 2 axes");
}

TEST_F(Check, OverlapWithAnOutputIsRefused) {
  const Tensor x = real({3, 4});
  EXPECT_EQ(refusal(LinearForward{x, {}, x, real({4, 4}), {}}),
            "LinearForward: inp: got memory that overlaps out, expected memory of its own");
}

TEST_F(Check, GradientsOfTheHeadComeTogether) {
  HeadLoss op{real({3}), {}, real({3, 2}), {}, real({3, 2}), real({7, 2}), ids({3}), 1};
  EXPECT_EQ(refusal(op), "HeadLoss: dweight: got no tensor, expected one");
  std::swap(op.dinp, op.dweight);
  EXPECT_EQ(refusal(op), "HeadLoss: dinp: got no tensor, expected one");
}

TEST_F(Check, TargetsBeyondTheVocabularyAreRefused) {
  const Tensor targets = bench_.ints({1, 7, 0}, {3});
  EXPECT_EQ(refusal(HeadLoss{real({3}), {}, {}, {}, real({3, 2}), real({7, 2}), targets, 1}),
            "HeadLoss: targets[1]: got 7, expected below V = 7");
}

TEST_F(Check, PositionsBeyondTheTableAreRefused) {
  EXPECT_EQ(refusal(EmbeddingForward{real({2, 5, 3}), ids({2, 5}), real({9, 3}), real({4, 3}), {}}),
            "EmbeddingForward: wpe: got (4, 3), expected at least 5 rows");
}

TEST_F(Check, DropoutNeedsAProbabilityAndAState) {
  DropoutBackward op{real({1, 4}), real({1, 4}), {0.5f, 0, 0, 1, nullptr}};
  EXPECT_EQ(refusal(op), "DropoutBackward: dropout.state: got a null pointer, expected a step state");
  op.dropout.p = 1;
  EXPECT_EQ(refusal(op), "DropoutBackward: dropout.p: got 1.000000, expected 0 <= p < 1");
  op.dropout = {0.5f, 1u << 24, 0, 1, bench_.state({})};
  EXPECT_EQ(refusal(op), "DropoutBackward: dropout.site: got 16777216, expected below 2^24");
  op.dropout = {0.5f, 1, 1, 1, bench_.state({})};
  EXPECT_EQ(refusal(op), "DropoutBackward: micro_step: got 1, expected 0 <= micro_step < micro_steps = 1");
}

TEST_F(Check, GatherNeedsTheOrderOfItsTokens) {
  GatherBatch op{ids({2, 4}), ids({2, 4}), ids({50}), DataOrder{0, 50, 5}, 0, 1, bench_.state({})};
  EXPECT_EQ(refusal(op), "GatherBatch: order.block_size: got 5, expected 4");
  op.order = {0, 60, 4};
  EXPECT_EQ(refusal(op),
            "GatherBatch: order.n_tokens: got 60, expected 50 as tokens has, and above block_size 4");
  op.tokens = ids({8, 4});
  EXPECT_EQ(refusal(op), "GatherBatch: tokens: got (8, 4), expected (8, 5)");
}

TEST_F(Check, TheOptimizersSizesAndState) {
  AdamW op;
  op.params = real({5}), op.m = real({5}), op.v = real({5}), op.grads = real({4}),
  op.state = bench_.state({});
  EXPECT_EQ(refusal(op), "AdamW: grads: got (4), expected (5)");
  op.grads = real({5}), op.n_decay = 6;
  EXPECT_EQ(refusal(op), "AdamW: n_decay: got 6, expected 0 to 5");
  EXPECT_EQ(refusal(GlobalNorm{nullptr, real({5}), 1}),
            "GlobalNorm: state: got a null pointer, expected a step state");
  EXPECT_EQ(refusal(AdvanceStep{}), "AdvanceStep: state: got a null pointer, expected a step state");
}

TEST_F(Check, AttentionShapes) {
  EXPECT_EQ(refusal(AttentionForward{real({1, 4, 2, 3}), real({1, 2, 4}), real({1, 4, 3, 3, 2})}),
            "AttentionForward: qkv: got (1, 4, 3, 3, 2), expected (1, 4, 3, 2, 3)");
}

TEST_F(Check, TextsThatGoOn) {
  AppendTokens op{ids({2}), ids({2, 4}), ids({2, 3}), ids({2}), ids({3}), ids({2})};
  EXPECT_EQ(refusal(op), "AppendTokens: lengths: got (3), expected (2)");
  op.lengths = ids({2});
  op.tokens = op.inputs;
  EXPECT_EQ(refusal(op), "AppendTokens: tokens: got memory that overlaps inputs, expected memory of its own");
  EXPECT_EQ(refusal(SampleTokens{ids({2}), real({2, 5}), {}, ids({2}), ids({2}), {}}),
            "SampleTokens: samples: got i32, expected i64");
}

TEST(Factory, KnowsItsDevices) {
  EXPECT_EQ(make_backend("cpu", 3)->name(), "cpu, 3 threads");
  EXPECT_EQ(make_backend("cpu", 1)->name(), "cpu, 1 thread");
  EXPECT_FALSE(make_backend("auto", 0)->name().empty());
  for (const char* unknown : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda1", "CPU"}) {
    EXPECT_THROW(make_backend(unknown, 1), ConfigError) << unknown;
  }
  EXPECT_THROW(make_backend("cpu", -1), ConfigError);
  EXPECT_THROW(make_backend("cpu", 1000000), ConfigError);
}

TEST(Factory, MemoryIsAlignedZeroedAndRefusedByName) {
  const auto backend = make_backend("cpu", 1);
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{1000}, std::int64_t{9} << 20}) {
    Buffer buffer = backend->allocate(bytes, "test");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u);
    const char* data = static_cast<const char*>(buffer.data());
    EXPECT_TRUE(std::all_of(data, data + bytes, [](char c) { return c == 0; }));
  }
  EXPECT_EQ(backend->allocate(0, "nothing").data(), nullptr);
  EXPECT_THROW(backend->allocate(-1, "test"), ConfigError);
  try {
    backend->allocate(std::int64_t{1} << 60, "the moon");
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("the moon"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("1152921504606846976"), std::string::npos);
  }
}

TEST(Factory, BuffersMove) {
  const auto backend = make_backend("cpu", 1);
  Buffer first = backend->allocate(100, "first");
  void* data = first.data();
  Buffer second = std::move(first);
  EXPECT_EQ(first.data(), nullptr);
  EXPECT_EQ(second.data(), data);
  first = std::move(second);
  EXPECT_EQ(first.data(), data);
  EXPECT_EQ(first.bytes(), 100);
}

}  // namespace
}  // namespace zhgpt::test
