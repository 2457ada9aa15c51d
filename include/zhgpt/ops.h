// Every operation of the model, declared once: operands, shapes, `=` or `+=`, determinism, source.
//
// An operation is a plain struct of its operands. `Backend::run` checks it (src/backend/check.cpp) and hands
// it to the backend's own code, so that to add one takes: a struct here, a check, one CPU file, one CUDA
// file, one test.
//
// Shape letters: B batch, T time (positions), C channels (n_embd), NH heads, HS head size (C = NH*HS), V
// vocabulary, OC output channels, N = B*T rows. Order of fields: outputs, saved for backward, inputs, sizes
// and scalars.
// `=` overwrites, `+=` accumulates. Parameter gradients accumulate, so that micro-batches add up; activation
// gradients overwrite, except the residual stream's. Unless stated, operands must not overlap, and results
// are bit-identical for equal inputs whatever the number of threads or blocks. A Tensor marked "optional" may
// be absent.
//
// The real operands of an operation share one dtype: f32, f64 (CPU) or bf16 (CUDA). Those marked "exact" are
// sums over many terms, or what such sums are built on: in bf16 they are f32, otherwise of the same dtype as
// the others.
#pragma once

#include <cstdint>

#include "zhgpt/data_order.h"
#include "zhgpt/sampling.h"
#include "zhgpt/tensor.h"

namespace zhgpt {

// What changes from step to step. It lives in device memory, so that one recorded step can be replayed.
struct StepState {
  std::int64_t step = 0;     // optimizer steps done or skipped before this one
  std::int64_t updates = 0;  // AdamW updates applied so far: Adam's t is updates + 1 during a step
  std::int64_t skipped = 0;  // steps whose loss or gradient was not finite, so that nothing was updated
  std::int64_t skipped_in_a_row = 0;
  std::int64_t skipped_batches = 0;  // of the data order, passed over by roll-backs
  std::uint64_t seed = 0;            // key of all randomness
  float learning_rate = 0;
  float loss = 0;        // mean loss of this step, nats a token
  float grad_norm = 0;   // global L2 norm before clipping
  float clip_scale = 0;  // factor on every gradient, <= 1; 0 when the step is to be skipped

  // Which batch of the data order this step takes: all micro-batches of a step are one.
  constexpr std::int64_t batch() const { return step + skipped_batches; }
};

// Dropout at one place of the model. Element i is kept when its Philox number, drawn at
// (seed, RandomStream::dropout, step * micro_steps + micro_step, site, i / 4) lane i % 4, is >= p; kept
// values are scaled by 1 / (1 - p). The mask is never stored: backward draws it again.
struct Dropout {
  float p = 0;                  // 0 switches it off, and `state` is then not read
  std::uint32_t site = 0;       // which place in the model
  std::int64_t micro_step = 0;  // which micro-batch of the step
  std::int64_t micro_steps = 1;
  const StepState* state = nullptr;  // device memory
};

// ---- data
// -----------------------------------------------------------------------------------------------------

// Row b is sample i = (state->batch() * micro_steps + micro_step) * B + b of `order`. Where tokens are not
// the whole text but rows of it, somebody has put the window of sample i into row i % R.
struct GatherBatch {
  Tensor inputs;   // (B, T) i32 =
  Tensor targets;  // (B, T) i32 =, inputs shifted by one
  Tensor tokens;   // (n_tokens) or (R, T + 1), u16 or i32
  DataOrder order;
  std::int64_t micro_step = 0;
  std::int64_t micro_steps = 1;
  const StepState* state = nullptr;  // device memory
};

// ---- layers
// ---------------------------------------------------------------------------------------------------

// out[b,t,:] = dropout(wte[inputs[b,t],:] + wpe[t,:]).
struct EmbeddingForward {
  Tensor out;     // (B, T, C) =
  Tensor inputs;  // (B, T) i32, every id in [0, V)
  Tensor wte;     // (V, C)
  Tensor wpe;     // (>= T, C)
  Dropout dropout;
};
// Deterministic without atomics: each row of dwte has one writer, which adds its positions in order.
struct EmbeddingBackward {
  Tensor dwte;    // (V, C) +=, exact
  Tensor dwpe;    // (>= T, C) +=, exact
  Tensor dout;    // (B, T, C)
  Tensor inputs;  // (B, T) i32
  Dropout dropout;
};

// out = (inp - mean) * rstd * weight + bias over the last axis, rstd = 1 / sqrt(var + 1e-5), biased variance.
// J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.
struct LayerNormForward {
  Tensor out;     // (N, C) =
  Tensor mean;    // (N) =, exact, saved for backward
  Tensor rstd;    // (N) =, exact, saved for backward
  Tensor inp;     // (N, C)
  Tensor weight;  // (C), exact
  Tensor bias;    // (C), exact
};
// residual = inp + dropout(branch), then LayerNormForward of residual, in one pass over memory.
struct ResidualLayerNormForward {
  Tensor out;       // (N, C) =
  Tensor residual;  // (N, C) =, the stream that goes on; saved for backward
  Tensor mean;      // (N) =, exact, saved for backward
  Tensor rstd;      // (N) =, exact, saved for backward
  Tensor inp;       // (N, C)
  Tensor branch;    // (N, C)
  Tensor weight;    // (C), exact
  Tensor bias;      // (C), exact
  Dropout dropout;
};
// Backward of both of the above: dinp is the residual stream's gradient, which the branch's comes on top of.
struct LayerNormBackward {
  Tensor dinp;     // (N, C) +=
  Tensor dweight;  // (C) +=, exact
  Tensor dbias;    // (C) +=, exact
  Tensor dout;     // (N, C)
  Tensor inp;      // (N, C), what was normalised
  Tensor mean;     // (N), exact
  Tensor rstd;     // (N), exact
  Tensor weight;   // (C), exact
};
// dinp = dout * mask / (1 - p).
struct DropoutBackward {
  Tensor dinp;  // (N, C) =
  Tensor dout;  // (N, C)
  Dropout dropout;
};

// out = inp . weight^T + bias; with `pre_gelu` given, pre_gelu holds that sum and out = gelu(pre_gelu).
// gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the tanh form of D. Hendrycks, K. Gimpel, 2016.
struct LinearForward {
  Tensor out;       // (N, OC) =
  Tensor pre_gelu;  // (N, OC) =, optional; saved for backward
  Tensor inp;       // (N, C)
  Tensor weight;    // (OC, C)
  Tensor bias;      // (OC), optional
};
// dinp = dout . weight; with `pre_gelu` given (of the layer below, whose output inp was), dinp is also
// multiplied by gelu'(pre_gelu), so that it is the gradient of that layer's pre-activation.
struct LinearBackwardInput {
  Tensor dinp;      // (N, C) =
  Tensor dout;      // (N, OC)
  Tensor weight;    // (OC, C)
  Tensor pre_gelu;  // (N, C), optional
};
struct LinearBackwardWeight {
  Tensor dweight;  // (OC, C) += dout^T . inp, exact
  Tensor dbias;    // (OC) += column sums of dout, exact; optional
  Tensor dout;     // (N, OC)
  Tensor inp;      // (N, C)
};

// Causal self-attention: out[b,t,h,:] = sum over s <= t of softmax_s(q_t . k_s / sqrt(HS)) v_s, without a (T,
// T) matrix in memory. T. Dao et al., "FlashAttention", 2022; online softmax: M. Milakov, N. Gimelshein,
// 2018.
struct AttentionForward {
  Tensor out;  // (B, T, NH, HS) =, that is (B, T, C)
  Tensor lse;  // (B, NH, T) =, exact, log of the sum of exponentials; saved for backward
  Tensor qkv;  // (B, T, 3, NH, HS)
};
struct AttentionBackward {
  Tensor dqkv;  // (B, T, 3, NH, HS) =
  Tensor dout;  // (B, T, NH, HS)
  Tensor out;   // (B, T, NH, HS)
  Tensor lse;   // (B, NH, T), exact
  Tensor qkv;   // (B, T, 3, NH, HS)
};

// out[b,:] = wte[tokens[b],:] + wpe[lengths[b],:].
struct EmbeddingDecode {
  Tensor out;      // (B, C) =
  Tensor tokens;   // (B) i32, every id in [0, V)
  Tensor lengths;  // (B) i32, every one in [0, rows of wpe)
  Tensor wte;      // (V, C)
  Tensor wpe;      // (S, C)
};
// The keys and values of T tokens of one row become the first T of its cache.
struct CacheKeysValues {
  Tensor k_cache;  // (NH, S, HS) = in the first T positions, S >= T
  Tensor v_cache;  // (NH, S, HS) = likewise
  Tensor qkv;      // (T, 3, NH, HS)
};
// One token a row more, from a cache of the keys and values before it: those of the new token are written to
// the cache at position lengths[b], then out[b] attends to positions 0 to lengths[b]. Row b depends on row b
// alone.
struct AttentionDecode {
  Tensor out;      // (B, NH, HS) =
  Tensor k_cache;  // (B, NH, S, HS) = at one position, S the room in positions
  Tensor v_cache;  // (B, NH, S, HS) = at one position
  Tensor qkv;      // (B, 3, NH, HS)
  Tensor lengths;  // (B) i32, every one in [0, S)
};

// What decoding asks of a product: out = inp . weight^T + bias, then GELU if so asked, for inputs of few
// rows. Row n's bits depend on row n and the weight alone, not on N.
struct LinearDecode {
  Tensor out;     // (N, OC) =, or exact
  Tensor inp;     // (N, C)
  Tensor weight;  // (OC, C)
  Tensor bias;    // (OC), optional
  bool gelu = false;
};

// The same of a weight (OC, C) that is laid out once for it.
enum class WeightType { f32, bf16, int8 };
struct PackedWeight {
  void* data = nullptr;
  WeightType type = WeightType::f32;
  std::int64_t OC = 0, C = 0;

  static constexpr std::int64_t kMostInt8 = std::int64_t{1} << 17;  // C: their sums fit 32 bits

  // Words of 32 bits that a channel takes.
  static constexpr std::int64_t words(WeightType type, std::int64_t C) {
    return type == WeightType::f32 ? C : type == WeightType::bf16 ? (C + 1) / 2 : (C + 3) / 4;
  }
  // Memory it takes: channels in groups of 64, with int8 their factors behind them.
  static constexpr std::int64_t bytes(WeightType type, std::int64_t OC, std::int64_t C) {
    const std::int64_t channels = (OC + 63) / 64 * 64;
    return channels * 4 * (words(type, C) + (type == WeightType::int8 ? 1 : 0));
  }
};
// Where Backend::packs_weights, in f32; elsewhere LinearDecode reads weights as they are. bf16: each weight
// w is rounded to the nearest. int8: q = w / f to the nearest whole number, ties to even, cut at +-127, where
// f = max|w| / 127 of the channel; C <= kMostInt8.
struct PackWeight {
  PackedWeight out;  // = weight, rounded to its type
  Tensor weight;     // (OC, C)
};
// out = inp . weight^T + bias, then GELU if so asked, as in LinearForward: of f32 weights the same bits.
// With int8 weights each row of inp is rounded like a channel, and inp . weight^T is (f_weight * f_inp) * sum
// of q_weight * q_inp: the sum is exact, so that all instructions give the same bits. A channel or a row in
// which a number is not finite gives NaN.
struct PackedLinear {
  Tensor out;  // (N, OC) =
  Tensor inp;  // (N, C)
  PackedWeight weight;
  Tensor bias;  // (OC), optional
  bool gelu = false;
};

// The head: logits = inp . weight^T, losses[n] = -log softmax(logits[n])[targets[n]] in nats. A target < 0 is
// padding: its loss is 0 and it gives no gradient. With the gradients given, the whole backward happens in
// the same pass over each chunk of rows, so that (N, V) logits need not exist at once.
struct HeadLoss {
  Tensor losses;   // (N) =, exact
  Tensor ranks;    // (N) i32 =, optional, only without gradients: how many ids come before the target, having
                   // a larger logit, or as large a one and a lower id: 0 where the target is
                   // argmax(logits[n]). V for padding and where the loss is not finite
  Tensor dinp;     // (N, C) =, optional: absent in evaluation
  Tensor dweight;  // (V, C) +=, exact; optional: given exactly when dinp is
  Tensor inp;      // (N, C)
  Tensor weight;   // (V, C)
  Tensor targets;  // (N) i32, every target < V
  double scale = 1;  // gradients are those of scale * sum of losses
};

// The next token of each row as `choose_token` (sampling.h) chooses it for samples[b] at positions[b]. A row
// does not depend on its neighbours.
struct SampleTokens {
  Tensor tokens;     // (B) i32 =, kNoToken where the logits leave nothing to choose
  Tensor logits;     // (B, V) f32
  Tensor recent;     // (B, R) i32, the token at place p of the text in p % R, as far back as R; what is no id
                     // is none; optional
  Tensor positions;  // (B) i32, how many tokens came before
  Tensor samples;    // (B) i64, as unsigned
  SamplingOptions options;
};
// The tokens that were chosen become the last of their texts, at positions[b], and what the next pass reads;
// lengths count what it finds in the cache.
struct AppendTokens {
  Tensor inputs;     // (B) i32 = tokens; 0 in place of kNoToken
  Tensor recent;     // (B, R) i32 = tokens in positions % R
  Tensor written;    // (B, K) i32 = tokens in positions % K
  Tensor positions;  // (B) i32 += 1
  Tensor lengths;    // (B) i32 += 1
  Tensor tokens;     // (B) i32
};

// ---- the step
// -------------------------------------------------------------------------------------------------

// state->learning_rate = rates[state->step % R].
struct BeginStep {
  StepState* state = nullptr;  // device memory
  Tensor rates;                // (R) f32
};

// state->loss = (first ? 0 : state->loss) + scale * sum of losses, summed as a fixed tree.
struct AccumulateLoss {
  StepState* state = nullptr;  // device memory
  Tensor losses;               // (N) f32 or f64
  double scale = 1;
  bool first = true;
};
// state->grad_norm = sqrt(sum of grads^2) in a fixed order with double partial sums;
// state->clip_scale = min(1, max_norm / grad_norm), or 1 when max_norm is 0, or 0 when loss or norm is not
// finite.
struct GlobalNorm {
  StepState* state = nullptr;  // device memory
  Tensor grads;                // (P) f32 or f64
  double max_norm = 0;
};
// I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019, with bias correction as in
// PyTorch's AdamW. Leaves everything as it is when state->clip_scale is 0.
struct AdamW {
  Tensor params;             // (P) +=, f32 or f64, as are m, v and grads
  Tensor m;                  // (P) =, first moment
  Tensor v;                  // (P) =, second moment
  Tensor working;            // (P) bf16 = params, rounded to the nearest; optional
  Tensor grads;              // (P), multiplied by state->clip_scale as they are read
  std::int64_t n_decay = 0;  // the first n_decay parameters decay, the rest do not
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
  const StepState* state = nullptr;  // device memory
};
// Counts the step as done: updated, or skipped when clip_scale is 0. Then history[(step - 1) % H] = *state,
// step counted, so that the host can read what happened some steps later.
struct AdvanceStep {
  StepState* state = nullptr;    // device memory
  StepState* history = nullptr;  // device memory, H entries; optional
  std::int64_t history_size = 0;
};

}  // namespace zhgpt
