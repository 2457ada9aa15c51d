// One, two, three, four and eight threads give the same bits, for every operation, at sizes of several tiles.
#include <functional>

#include "support/device.h"
#include "support/fill.h"
#include "support/reference_ops.h"

namespace zhgpt::test {
namespace {

constexpr Index B = 3, T = 130, NH = 3, HS = 24, C = NH * HS, N = B * T, V = 1100, OC = 400, P = 50000;

struct Operation {
  const char* name;
  std::function<std::vector<Tensor>(Workbench&)> run;  // gives back the outputs
};

Tensor random_tensor(Workbench& w, std::uint32_t site, std::initializer_list<Index> shape) {
  return w.reals(random_reals(Tensor(nullptr, w.dtype(), shape).numel(), site), shape);
}

// A dropout of p = 0.2 somewhere.
Dropout some_dropout(Workbench& w) {
  return {0.2f, 5, 0, 1, w.state({.step = 3, .seed = 8})};
}

// The state as an output: its bytes.
Tensor as_tensor(StepState* state) {
  return {state, DType::u8, {static_cast<Index>(sizeof *state)}};
}

const std::vector<Operation>& operations() {
  static const std::vector<Operation> list = {
      {"EmbeddingForward",
       [](Workbench& w) {
         const Tensor out = w.unset({B, T, C});
         w.run(EmbeddingForward{out, w.ints(random_ids(N, 1, V), {B, T}), random_tensor(w, 2, {V, C}),
                                random_tensor(w, 3, {T, C}), some_dropout(w)});
         return std::vector{out};
       }},
      {"EmbeddingBackward",
       [](Workbench& w) {
         const Tensor dwte = random_tensor(w, 1, {V, C}), dwpe = random_tensor(w, 2, {T, C});
         w.run(EmbeddingBackward{dwte, dwpe, random_tensor(w, 3, {B, T, C}),
                                 w.ints(random_ids(N, 4, 9), {B, T}), some_dropout(w)});
         return std::vector{dwte, dwpe};
       }},
      {"LayerNormForward",
       [](Workbench& w) {
         const Tensor out = w.unset({N, C}), mean = w.unset({N}), rstd = w.unset({N});
         w.run(LayerNormForward{out, mean, rstd, random_tensor(w, 1, {N, C}), random_tensor(w, 2, {C}),
                                random_tensor(w, 3, {C})});
         return std::vector{out, mean, rstd};
       }},
      {"ResidualLayerNormForward",
       [](Workbench& w) {
         const Tensor out = w.unset({N, C}), residual = w.unset({N, C}), mean = w.unset({N}),
                      rstd = w.unset({N});
         w.run(ResidualLayerNormForward{out, residual, mean, rstd, random_tensor(w, 1, {N, C}),
                                        random_tensor(w, 4, {N, C}), random_tensor(w, 2, {C}),
                                        random_tensor(w, 3, {C}), some_dropout(w)});
         return std::vector{out, residual, mean, rstd};
       }},
      {"LayerNormBackward",
       [](Workbench& w) {
         const Tensor dinp = random_tensor(w, 1, {N, C}), dweight = random_tensor(w, 2, {C});
         const Tensor dbias = random_tensor(w, 3, {C});
         w.run(LayerNormBackward{dinp, dweight, dbias, random_tensor(w, 4, {N, C}),
                                 random_tensor(w, 5, {N, C}), random_tensor(w, 6, {N}),
                                 random_tensor(w, 7, {N}), random_tensor(w, 8, {C})});
         return std::vector{dinp, dweight, dbias};
       }},
      {"DropoutBackward",
       [](Workbench& w) {
         const Tensor dinp = w.unset({N, C});
         w.run(DropoutBackward{dinp, random_tensor(w, 1, {N, C}), some_dropout(w)});
         return std::vector{dinp};
       }},
      {"LinearForward",
       [](Workbench& w) {
         const Tensor out = w.unset({N, OC}), pre = w.unset({N, OC});
         w.run(LinearForward{out, pre, random_tensor(w, 1, {N, C}), random_tensor(w, 2, {OC, C}),
                             random_tensor(w, 3, {OC})});
         return std::vector{out, pre};
       }},
      {"LinearBackwardInput",
       [](Workbench& w) {
         const Tensor dinp = w.unset({N, OC});
         w.run(LinearBackwardInput{dinp, random_tensor(w, 1, {N, C}), random_tensor(w, 2, {C, OC}),
                                   random_tensor(w, 3, {N, OC})});
         return std::vector{dinp};
       }},
      {"LinearBackwardWeight",
       [](Workbench& w) {
         constexpr Index kMany = 2 * N + 40;  // more tokens than go together
         const Tensor dweight = random_tensor(w, 1, {OC, C}), dbias = random_tensor(w, 2, {OC});
         w.run(LinearBackwardWeight{dweight, dbias, random_tensor(w, 3, {kMany, OC}),
                                    random_tensor(w, 4, {kMany, C})});
         return std::vector{dweight, dbias};
       }},
      {"Attention",
       [](Workbench& w) {
         const Tensor out = w.unset({B, T, NH, HS}), lse = w.unset({B, NH, T}),
                      dqkv = w.unset({B, T, 3, NH, HS});
         const Tensor qkv = random_tensor(w, 1, {B, T, 3, NH, HS});
         w.run(AttentionForward{out, lse, qkv});
         w.run(AttentionBackward{dqkv, random_tensor(w, 2, {B, T, NH, HS}), out, lse, qkv});
         return std::vector{out, lse, dqkv};
       }},
      {"HeadLoss",
       [](Workbench& w) {
         const Tensor losses = w.unset({N}), dinp = w.unset({N, C}), dweight = random_tensor(w, 1, {V, C});
         w.run(HeadLoss{losses,
                        {},
                        dinp,
                        dweight,
                        random_tensor(w, 2, {N, C}),
                        random_tensor(w, 3, {V, C}),
                        w.ints(random_ids(N, 4, V), {N}),
                        0.1});
         return std::vector{losses, dinp, dweight};
       }},
      {"Optimizer",
       [](Workbench& w) {
         StepState* state = w.state({.learning_rate = 0.01f});
         const Tensor params = random_tensor(w, 1, {P}), m = random_tensor(w, 2, {P}), v = w.filled(1, {P});
         const Tensor grads = random_tensor(w, 3, {P});
         w.run(AccumulateLoss{state, grads, 1.0 / P, true});
         w.run(GlobalNorm{state, grads, 1.0});
         AdamW op;
         op.params = params, op.m = m, op.v = v, op.grads = grads, op.n_decay = P / 3, op.state = state;
         w.run(op);
         return std::vector{params, m, v, as_tensor(state)};
       }},
  };
  return list;
}

class Threads : public ::testing::TestWithParam<DType> {};

TEST_P(Threads, GiveTheSameBits) {
  for (const Operation& operation : operations()) {
    std::vector<std::vector<char>> wanted;
    for (const int threads : {1, 2, 3, 4, 8}) {
      Workbench bench({"cpu", GetParam()}, threads);
      for (int repeat = 0; repeat < (threads == 1 ? 1 : 3); ++repeat) {
        std::vector<std::vector<char>> got;
        for (const Tensor& output : operation.run(bench)) got.push_back(bench.bits(output));
        if (wanted.empty()) wanted = got;
        EXPECT_EQ(got, wanted) << operation.name << ", " << threads << " threads";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, Threads, ::testing::Values(DType::f32, DType::f64),
                         [](const auto& test) { return std::string(dtype_name(test.param)); });

}  // namespace
}  // namespace zhgpt::test
