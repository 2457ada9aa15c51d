#include "selftest/cases.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace zhgpt::selftest {
namespace {

using Index = std::int64_t;

struct Size {
  Index B, T, NH, HS, V;
  Index C() const { return NH * HS; }
  Index N() const { return B * T; }
};
// Odd ones reach the edges of every tile; the real ones are the tiny preset and GPT-2's.
const Size kOdd[] = {{1, 5, 1, 7, 13}, {3, 37, 3, 24, 1030}, {2, 129, 2, 64, 259}};
const Size kReal[] = {{64, 256, 6, 64, 6000}, {8, 1024, 12, 64, 50304}};

double root(Index count) {
  return std::sqrt(static_cast<double>(count));
}

std::string shape(std::initializer_list<std::pair<const char*, Index>> sizes) {
  std::string text;
  for (const auto& [letter, size] : sizes)
    text += (text.empty() ? "" : " ") + std::string(letter) + std::to_string(size);
  return text;
}

template <class Op>
std::function<void()> runner(Operands& o, const Op& op) {
  return [&backend = o.backend(), op] { backend.run(op); };
}

// p = 0.2 somewhere in the middle of a run.
Dropout some_dropout(Operands& o) {
  return {.p = 0.2f, .site = 5, .micro_step = 1, .micro_steps = 2, .state = o.state({.step = 3, .seed = 8})};
}

Case gather(const Size& s) {
  return {"GatherBatch", shape({{"B", s.B}, {"T", s.T}}),
          [s](Operands& o, Backend&) {
            const Index n_tokens = 4 * s.N() + 3;
            const Tensor inputs = o.ids({s.B, s.T}, 2), targets = o.ids({s.B, s.T}, 2);
            const GatherBatch op{inputs,
                                 targets,
                                 o.ids({n_tokens}, s.V),
                                 {.seed = 3, .n_tokens = n_tokens, .block_size = s.T},
                                 1,
                                 2,
                                 o.state({.step = 1, .skipped_batches = 2})};
            return Prepared{runner(o, op), {{"inputs", inputs}, {"targets", targets}}};
          },
          false};
}

Case embedding_forward(const Size& s) {
  return {"EmbeddingForward", shape({{"B", s.B}, {"T", s.T}, {"C", s.C()}}), [s](Operands& o, Backend&) {
            const Tensor out = o.unset({s.B, s.T, s.C()});
            const EmbeddingForward op{out, o.ids({s.B, s.T}, s.V), o.reals({s.V, s.C()}),
                                      o.reals({s.T, s.C()}), some_dropout(o)};
            return Prepared{runner(o, op), {{"out", out}}};
          }};
}
Case embedding_backward(const Size& s) {
  return {"EmbeddingBackward", shape({{"B", s.B}, {"T", s.T}, {"C", s.C()}, {"V", s.V}}),
          [s](Operands& o, Backend&) {
            const Tensor dwte = o.exacts({s.V, s.C()}), dwpe = o.exacts({s.T, s.C()});
            const EmbeddingBackward op{dwte, dwpe, o.reals({s.B, s.T, s.C()}), o.ids({s.B, s.T}, s.V),
                                       some_dropout(o)};
            return Prepared{runner(o, op), {{"dwte", dwte, root(s.N())}, {"dwpe", dwpe, root(s.B)}}};
          }};
}

Case layernorm_forward(const Size& s) {
  return {"LayerNormForward", shape({{"N", s.N()}, {"C", s.C()}}),
          [N = s.N(), C = s.C()](Operands& o, Backend&) {
            const Tensor out = o.unset({N, C}), mean = o.unset_exact({N}), rstd = o.unset_exact({N});
            const LayerNormForward op{out, mean, rstd, o.reals({N, C}, 2, 0.5), o.exacts({C}), o.exacts({C})};
            return Prepared{runner(o, op), {{"out", out, 3}, {"mean", mean}, {"rstd", rstd}}};
          }};
}
Case residual_layernorm(const Size& s) {
  return {"ResidualLayerNormForward", shape({{"N", s.N()}, {"C", s.C()}}),
          [N = s.N(), C = s.C()](Operands& o, Backend&) {
            const Tensor out = o.unset({N, C}), residual = o.unset({N, C}), mean = o.unset_exact({N}),
                         rstd = o.unset_exact({N});
            const ResidualLayerNormForward op{out,           residual,        mean,
                                              rstd,          o.reals({N, C}), o.reals({N, C}),
                                              o.exacts({C}), o.exacts({C}),   some_dropout(o)};
            return Prepared{runner(o, op),
                            {{"out", out, 3, true},
                             {"residual", residual},
                             {"mean", mean, 1, true},
                             {"rstd", rstd, 1, true}}};
          }};
}
Case layernorm_backward(const Size& s) {
  return {"LayerNormBackward", shape({{"N", s.N()}, {"C", s.C()}}),
          [N = s.N(), C = s.C()](Operands& o, Backend&) {
            const Tensor dinp = o.reals({N, C}), dweight = o.exacts({C}), dbias = o.exacts({C});
            const LayerNormBackward op{dinp,
                                       dweight,
                                       dbias,
                                       o.reals({N, C}),
                                       o.reals({N, C}),
                                       o.exacts({N}, 0.1),
                                       o.exacts({N}, 0.2, 1.7),
                                       o.exacts({C})};
            return Prepared{runner(o, op),
                            {{"dinp", dinp, 3}, {"dweight", dweight, root(N)}, {"dbias", dbias, root(N)}}};
          }};
}
Case dropout_backward(const Size& s) {
  return {"DropoutBackward", shape({{"N", s.N()}, {"C", s.C()}}),
          [N = s.N(), C = s.C()](Operands& o, Backend&) {
            const Tensor dinp = o.unset({N, C});
            const DropoutBackward op{dinp, o.reals({N, C}), some_dropout(o)};
            return Prepared{runner(o, op), {{"dinp", dinp}}};
          }};
}

Case linear_forward(Index N, Index C, Index OC, bool gelu) {
  return {gelu ? "LinearForward, GELU" : "LinearForward", shape({{"N", N}, {"C", C}, {"OC", OC}}),
          [=](Operands& o, Backend&) {
            const Tensor out = o.unset({N, OC}), pre = gelu ? o.unset({N, OC}) : Tensor{};
            const LinearForward op{out, pre, o.reals({N, C}), o.reals({OC, C}), o.reals({OC})};
            Prepared prepared{runner(o, op), {{"out", out, root(C), gelu}}};
            if (gelu) prepared.outputs.push_back({"pre_gelu", pre, root(C)});
            return prepared;
          }};
}
Case linear_backward_input(Index N, Index C, Index OC, bool gelu) {
  return {gelu ? "LinearBackwardInput, GELU" : "LinearBackwardInput", shape({{"N", N}, {"C", C}, {"OC", OC}}),
          [=](Operands& o, Backend&) {
            const Tensor dinp = o.unset({N, C});
            const LinearBackwardInput op{dinp, o.reals({N, OC}), o.reals({OC, C}),
                                         gelu ? o.reals({N, C}, 3) : Tensor{}};
            return Prepared{runner(o, op), {{"dinp", dinp, root(OC), gelu}}};
          }};
}
Case linear_backward_weight(Index N, Index C, Index OC) {
  return {"LinearBackwardWeight", shape({{"N", N}, {"C", C}, {"OC", OC}}), [=](Operands& o, Backend&) {
            const Tensor dweight = o.exacts({OC, C}), dbias = o.exacts({OC});
            const LinearBackwardWeight op{dweight, dbias, o.reals({N, OC}), o.reals({N, C})};
            return Prepared{runner(o, op), {{"dweight", dweight, root(N)}, {"dbias", dbias, root(N)}}};
          }};
}

std::string with_type(const char* op, WeightType type) {
  constexpr const char* kNames[] = {", f32", ", bf16", ", int8"};
  return std::string(op) + kNames[static_cast<int>(type)];
}
Tensor memory_of(Operands& o, WeightType type, Index OC, Index C) {
  return o.ids({PackedWeight::bytes(type, OC, C) / 4}, 2);
}
// To the bit as the CPU packs it.
Case pack_weight(WeightType type, Index C, Index OC) {
  return {with_type("PackWeight", type), shape({{"C", C}, {"OC", OC}}),
          [=](Operands& o, Backend&) {
            const Tensor memory = memory_of(o, type, OC, C);
            const PackWeight op{{memory.data, type, OC, C}, o.floats({OC, C})};
            return Prepared{runner(o, op), {{"out", memory, 0}}};
          },
          false, true};
}
// Whole numbers, 127 the largest of each row, so that every type holds them as they are. For int8 each row
// has a factor of its own, and all but its largest lie a quarter beside what they are to be rounded to; in
// double, the reference, they are what int8 makes of them. All of it is exact in f32.
Tensor whole_numbers(Operands& o, WeightType type, Index rows, Index columns) {
  const bool is_int8 = type == WeightType::int8;
  const double beside = is_int8 && o.dtype() != DType::f64 ? 0.25 : 0;
  std::vector<double> values;
  for (Index i = 0; i < rows * columns; ++i) {
    const double whole = static_cast<double>(i * 37 % 255 - 127), off = i % 2 ? beside : -beside,
                 factor = is_int8 ? static_cast<double>(1 + i / columns % 7) / 8 : 1;
    values.push_back(factor * (i % columns == 0 ? 127 : std::clamp(whole + off, -127.0, 127.0)));
  }
  return o.given_exact(values, {rows, columns});
}
Case packed_linear(WeightType type, Index N, Index C, Index OC) {
  return {with_type("PackedLinear", type), shape({{"N", N}, {"C", C}, {"OC", OC}}),
          [=](Operands& o, Backend& cpu) {
            const Tensor out = o.unset({N, OC}), inp = whole_numbers(o, type, N, C),
                         weight = whole_numbers(o, type, OC, C), bias = o.reals({OC});
            const Output output{"out", out, root(C)};
            if (o.dtype() == DType::f64) {
              return Prepared{runner(o, LinearForward{out, {}, inp, weight, bias}), {output}};
            }
            const PackedWeight packed{memory_of(o, type, OC, C).data, type, OC, C};
            cpu.run(PackWeight{packed, weight});
            return Prepared{runner(o, PackedLinear{out, inp, packed, bias, false}), {output}};
          },
          true, true};
}

Case attention_forward(const Size& s) {
  return {"AttentionForward", shape({{"B", s.B}, {"T", s.T}, {"NH", s.NH}, {"HS", s.HS}}),
          [s](Operands& o, Backend&) {
            const Tensor out = o.unset({s.B, s.T, s.NH, s.HS}), lse = o.unset_exact({s.B, s.NH, s.T});
            const AttentionForward op{out, lse, o.reals({s.B, s.T, 3, s.NH, s.HS}, 2)};
            return Prepared{runner(o, op), {{"out", out, 2, true}, {"lse", lse, 2}}};
          }};
}
Case attention_backward(const Size& s) {
  return {"AttentionBackward", shape({{"B", s.B}, {"T", s.T}, {"NH", s.NH}, {"HS", s.HS}}),
          [s](Operands& o, Backend& cpu) {
            const Tensor qkv = o.reals({s.B, s.T, 3, s.NH, s.HS});
            Operands exact(cpu, DType::f64);  // its first numbers are those of qkv
            const AttentionForward forward{exact.unset({s.B, s.T, s.NH, s.HS}), exact.unset({s.B, s.NH, s.T}),
                                           exact.reals({s.B, s.T, 3, s.NH, s.HS})};
            cpu.run(forward);
            const Tensor out = o.given(read(cpu, forward.out), {s.B, s.T, s.NH, s.HS});
            const Tensor lse = o.given_exact(read(cpu, forward.lse), {s.B, s.NH, s.T});
            const Tensor dqkv = o.unset({s.B, s.T, 3, s.NH, s.HS});
            const AttentionBackward op{dqkv, o.reals({s.B, s.T, s.NH, s.HS}), out, lse, qkv};
            return Prepared{runner(o, op), {{"dqkv", dqkv, 2, true}}};
          }};
}
Case embedding_decode(const Size& s) {
  return {"EmbeddingDecode", shape({{"B", s.B}, {"C", s.C()}}), [s](Operands& o, Backend&) {
            const Tensor out = o.unset({s.B, s.C()});
            const EmbeddingDecode op{out, o.ids({s.B}, s.V), o.ids({s.B}, s.T), o.reals({s.V, s.C()}),
                                     o.reals({s.T, s.C()})};
            return Prepared{runner(o, op), {{"out", out}}};
          }};
}
Case cache_keys_values(const Size& s) {
  return {"CacheKeysValues", shape({{"T", s.T}, {"NH", s.NH}, {"HS", s.HS}}), [s](Operands& o, Backend&) {
            const Tensor k = o.unset({s.NH, s.T, s.HS}), v = o.unset({s.NH, s.T, s.HS});
            const CacheKeysValues op{k, v, o.reals({s.T, 3, s.NH, s.HS})};
            return Prepared{runner(o, op), {{"k_cache", k}, {"v_cache", v}}};
          }};
}
Case attention_decode(Index B, Index NH, Index HS, Index S) {
  return {"AttentionDecode", shape({{"B", B}, {"NH", NH}, {"HS", HS}, {"S", S}}), [=](Operands& o, Backend&) {
            const Tensor out = o.unset({B, NH, HS}), k = o.reals({B, NH, S, HS}), v = o.reals({B, NH, S, HS});
            const AttentionDecode op{out, k, v, o.reals({B, 3, NH, HS}), o.ids({B}, S)};
            return Prepared{runner(o, op), {{"out", out, 2, true}, {"k_cache", k}, {"v_cache", v}}};
          }};
}
Case linear_decode(Index N, Index C, Index OC, bool gelu) {
  return {gelu ? "LinearDecode, GELU" : "LinearDecode", shape({{"N", N}, {"C", C}, {"OC", OC}}),
          [=](Operands& o, Backend&) {
            const Tensor out = o.unset({N, OC});
            const LinearDecode op{out, o.reals({N, C}), o.reals({OC, C}), o.reals({OC}), gelu};
            return Prepared{runner(o, op), {{"out", out, root(C), gelu}}};
          }};
}

// Logits of a few nats, as models have them.
Case head_loss(Index N, Index C, Index V) {
  return {"HeadLoss", shape({{"N", N}, {"C", C}, {"V", V}}), [=](Operands& o, Backend&) {
            const double spread = 2 / root(C);
            const Tensor losses = o.unset_exact({N}), dinp = o.unset({N, C}), dweight = o.exacts({V, C});
            const HeadLoss op{losses,        {}, dinp, dweight, o.reals({N, C}), o.reals({V, C}, spread),
                              o.ids({N}, V), 1};
            return Prepared{runner(o, op),
                            {{"losses", losses, 4, true},
                             {"dinp", dinp, spread, true},
                             {"dweight", dweight, 1 + root(N / V), true}}};
          }};
}

Case head_loss_alone(Index N, Index C, Index V) {
  return {
      "HeadLoss, no gradients", shape({{"N", N}, {"C", C}, {"V", V}}), [=](Operands& o, Backend&) {
        const Tensor losses = o.unset_exact({N});
        const HeadLoss op{losses, {}, {}, {}, o.reals({N, C}), o.reals({V, C}, 2 / root(C)), o.ids({N}, V)};
        return Prepared{runner(o, op), {{"losses", losses, 4, true}}};
      }};
}

// Logits that are exact in every dtype, with equal ones among the largest.
Case head_ranks(Index N, Index V) {
  return {"HeadLoss, ranks", shape({{"N", N}, {"C", 1}, {"V", V}}), [=](Operands& o, Backend&) {
            std::vector<double> logits(static_cast<std::size_t>(V));
            for (std::size_t v = 0; v < logits.size(); ++v) logits[v] = static_cast<double>(v * 7 % 11);
            const Tensor losses = o.unset_exact({N}), ranks = o.ids({N}, 2);
            const std::vector<double> ones(static_cast<std::size_t>(N), 1.0);
            const HeadLoss op{losses,
                              ranks,
                              {},
                              {},
                              o.given(ones, {N, 1}),
                              o.given(logits, {V, 1}),
                              o.ids({N}, std::min<Index>(V, 30))};
            return Prepared{runner(o, op), {{"losses", losses, 4, true}, {"ranks", ranks, 0}}};
          }};
}

Case sample_tokens(Index B, Index V) {
  return {"SampleTokens", shape({{"B", B}, {"V", V}}),
          [=](Operands& o, Backend&) {
            const Tensor tokens = o.ids({B}, 2);
            std::vector<std::int64_t> samples;
            for (Index b = 0; b < B; ++b) samples.push_back((Index{1} << 40) - b);
            const SampleTokens op{tokens,           o.floats({B, V}, 4),   o.ids({B, 64}, V),
                                  o.ids({B}, 1000), o.longs(samples, {B}), {.repeat_penalty = 1.2}};
            return Prepared{runner(o, op), {{"tokens", tokens, 0}}};
          },
          false};
}
Case append_tokens(Index B) {
  return {"AppendTokens", shape({{"B", B}}),
          [=](Operands& o, Backend&) {
            const Tensor inputs = o.ids({B}, 9), recent = o.ids({B, 64}, 9), written = o.ids({B, 4}, 9),
                         positions = o.ids({B}, 1000), lengths = o.ids({B}, 1000);
            const AppendTokens op{inputs, recent, written, positions, lengths, o.ids({B}, 1000)};
            return Prepared{runner(o, op),
                            {{"inputs", inputs, 0},
                             {"recent", recent, 0},
                             {"written", written, 0},
                             {"positions", positions, 0},
                             {"lengths", lengths, 0}}};
          },
          false};
}

Case begin_step() {
  return {
      "BeginStep", "",
      [](Operands& o, Backend&) {
        StepState* state = o.state({.step = 9});
        const BeginStep op{state, o.floats({7})};
        return Prepared{runner(o, op), {{"learning_rate", Tensor(&state->learning_rate, DType::f32, {1})}}};
      },
      false};
}
Case accumulate_loss(Index N) {
  return {"AccumulateLoss", shape({{"N", N}}),
          [=](Operands& o, Backend&) {
            StepState* state = o.state({.loss = 3});
            const AccumulateLoss op{state, o.exacts({N}, 1, 8), 1.0 / static_cast<double>(N), true};
            return Prepared{runner(o, op), {{"loss", Tensor(&state->loss, DType::f32, {1})}}};
          },
          false};
}
Case global_norm(Index P) {
  return {"GlobalNorm", shape({{"P", P}}),
          [=](Operands& o, Backend&) {
            StepState* state = o.state({.loss = 1});
            const GlobalNorm op{state, o.exacts({P}), 1};
            return Prepared{runner(o, op),
                            {{"grad_norm, clip_scale", Tensor(&state->grad_norm, DType::f32, {2}), 0}}};
          },
          false};
}
Case adamw(Index P) {
  return {"AdamW", shape({{"P", P}}), [=](Operands& o, Backend&) {
            AdamW op;
            op.params = o.exacts({P});
            op.m = o.exacts({P}, 0.1);
            op.v = o.exacts({P}, 0.01, 0.02);
            op.grads = o.exacts({P});
            op.n_decay = P / 3;
            op.state = o.state({.updates = 5, .learning_rate = 0.01f, .clip_scale = 0.5f});
            if (o.dtype() == DType::bf16) op.working = o.unset({P});
            return Prepared{runner(o, op),
                            {{"params", op.params},
                             {"m", op.m},
                             {"v", op.v},
                             {"working", op.working ? op.working : op.params}}};
          }};
}
Case advance_step() {
  return {"AdvanceStep", "",
          [](Operands& o, Backend&) {
            StepState* state = o.state({.step = 4, .updates = 3, .skipped = 1, .clip_scale = 0.5f});
            StepState* history = o.state({});
            const AdvanceStep op{state, history, 1};
            return Prepared{runner(o, op),
                            {{"counters", Tensor(&state->step, DType::i64, {4}), 0},
                             {"history", Tensor(&history->step, DType::i64, {4}), 0}}};
          },
          false};
}

}  // namespace

std::vector<Case> operation_cases(bool quick) {
  std::vector<Case> cases;
  const auto add = [&](Case c, bool timed) {
    c.timed = timed;
    cases.push_back(std::move(c));
  };
  const auto add_linear = [&](Index N, Index C, Index OC, bool gelu_behind, bool gelu_before, bool timed) {
    add(linear_forward(N, C, OC, gelu_behind), timed);
    add(linear_backward_input(N, C, OC, gelu_before), timed);
    add(linear_backward_weight(N, C, OC), timed);
  };
  for (const bool real : {false, true}) {
    if (real && quick) break;
    for (const Size& s : real ? std::span<const Size>(kReal) : std::span<const Size>(kOdd)) {
      for (const auto make : {gather, embedding_forward, embedding_backward, layernorm_forward,
                              residual_layernorm, layernorm_backward, dropout_backward, attention_forward,
                              attention_backward, embedding_decode, cache_keys_values}) {
        add(make(s), real);
      }
      add(attention_decode(real ? 1 : s.B, s.NH, s.HS, s.T), real);
      add(head_loss(real ? 2048 : s.N(), s.C(), s.V), real);
      add(head_loss_alone(real ? 2048 : s.N(), s.C(), s.V), real);
      if (!real) add(head_ranks(s.N(), s.V), false);
      add(linear_decode(s.B, s.C(), 4 * s.C(), true), real);
      add(linear_decode(1, 4 * s.C(), s.C(), false), real);
      add(linear_decode(1, s.C(), s.V, false), real);
      add(sample_tokens(real ? 1 : s.B, s.V), real);
      add(append_tokens(s.B), real);
      add_linear(s.N(), s.C(), 3 * s.C(), false, false, real);
      add_linear(s.N(), s.C(), s.C(), false, false, real);
      add_linear(s.N(), s.C(), 4 * s.C(), true, false, real);
      add_linear(s.N(), 4 * s.C(), s.C(), false, true, real);
      for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::int8}) {
        add(pack_weight(type, s.C(), 3 * s.C()), real);
        add(packed_linear(type, real ? 1 : s.N(), s.C(), 3 * s.C()), real);
      }
      add(accumulate_loss(s.N()), real);
    }
    for (const Index P : real ? std::vector<Index>{Index{1} << 25} : std::vector<Index>{5, 10007}) {
      add(global_norm(P), real);
      add(adamw(P), real);
    }
  }
  add(begin_step(), !quick);
  add(advance_step(), !quick);
  return cases;
}

}  // namespace zhgpt::selftest
