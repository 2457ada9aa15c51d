// Backend::check: do the operands fit the contract of ops.h? Run once here for every backend.
//
// A wrong operand is an error of the program, never of its user, so these texts are in English only. Contents
// (ids, targets) may be in device memory and are not looked at.
#include <array>
#include <span>
#include <string>

#include "zhgpt/backend.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

using Shape = std::initializer_list<std::int64_t>;

// Checks one operation, operand by operand; `real` is the dtype that all its real operands share but the
// exact ones.
class Operands {
 public:
  Operands(const char* op, const char* first_name, const Tensor& first) : op_(op), real_(first.dtype) {
    if (real_ != DType::f32 && real_ != DType::f64 && real_ != DType::bf16) {
      fail(first_name, dtype_name(real_), "f32, f64 or bf16");
    }
  }
  explicit Operands(const char* op) : op_(op) {}

  DType exact() const { return real_ == DType::bf16 ? DType::f32 : real_; }

  // The size of an axis, of an operand that must be there and have `rank` axes, none of them empty.
  std::int64_t dim(const char* name, const Tensor& tensor, int rank, int axis) const {
    if (!tensor) fail(name, "no tensor", "one");
    if (tensor.rank != rank) fail(name, tensor.shape_text(), std::to_string(rank) + " axes");
    for (int i = 0; i < rank; ++i) {
      if (tensor.dim(i) < 1) fail(name, tensor.shape_text(), "no empty axis");
    }
    return tensor.dim(axis);
  }
  void output(const char* name, const Tensor& tensor, Shape shape) {
    operand(name, tensor, real_, shape, true);
  }
  void output(const char* name, const Tensor& tensor, DType dtype, Shape shape) {
    operand(name, tensor, dtype, shape, true);
  }
  void input(const char* name, const Tensor& tensor, Shape shape) {
    operand(name, tensor, real_, shape, false);
  }
  void input(const char* name, const Tensor& tensor, DType dtype, Shape shape) {
    operand(name, tensor, dtype, shape, false);
  }
  // A table of at least `rows` rows, of which the first `rows` are meant.
  void output_table(const char* name, const Tensor& tensor, DType dtype, std::int64_t rows,
                    std::int64_t columns) {
    at_least(name, tensor, rows);
    output(name, tensor, dtype, {tensor.dim(0), columns});
  }
  void input_table(const char* name, const Tensor& tensor, std::int64_t rows, std::int64_t columns) {
    at_least(name, tensor, rows);
    input(name, tensor, {tensor.dim(0), columns});
  }
  void dropout(const Dropout& d) const {
    if (!(d.p >= 0 && d.p < 1)) fail("dropout.p", std::to_string(d.p), "0 <= p < 1");
    if (d.p == 0) return;
    require("dropout.state", d.state);
    micro_steps(d.micro_step, d.micro_steps);
    if (d.site >= 1u << 24) fail("dropout.site", std::to_string(d.site), "below 2^24");
  }
  void micro_steps(std::int64_t micro_step, std::int64_t of) const {
    if (micro_step < 0 || micro_step >= of) {
      fail("micro_step", std::to_string(micro_step), "0 <= micro_step < micro_steps = " + std::to_string(of));
    }
  }
  void not_bf16(const char* name, const Tensor& tensor) const {
    if (tensor.dtype == DType::bf16) fail(name, "bf16", "f32 or f64");
  }
  void require(const char* name, const void* pointer) const {
    if (!pointer) fail(name, "a null pointer", "a step state");
  }
  [[noreturn]] void fail(const std::string& name, const std::string& got, const std::string& expected) const {
    throw ConfigError(std::string(op_) + ": " + name + ": got " + got + ", expected " + expected);
  }

 private:
  struct Range {
    const char* name;
    const char *begin, *end;
    bool written;
  };

  void at_least(const char* name, const Tensor& tensor, std::int64_t rows) const {
    if (dim(name, tensor, 2, 0) < rows)
      fail(name, tensor.shape_text(), "at least " + std::to_string(rows) + " rows");
  }
  void operand(const char* name, const Tensor& tensor, DType dtype, Shape shape, bool written) {
    if (!tensor) fail(name, "no tensor", "one");
    if (tensor.dtype != dtype) fail(name, dtype_name(tensor.dtype), dtype_name(dtype));
    bool fits = tensor.rank == static_cast<int>(shape.size());
    for (int axis = 0; fits && axis < tensor.rank; ++axis) fits = tensor.dim(axis) == shape.begin()[axis];
    if (!fits) fail(name, tensor.shape_text(), Tensor(nullptr, dtype, shape).shape_text());
    const char* begin = static_cast<const char*>(tensor.data);
    const Range range{name, begin, begin + tensor.bytes(), written};
    for (const Range& other : std::span(ranges_).first(n_ranges_)) {
      if ((written || other.written) && range.begin < other.end && other.begin < range.end) {
        fail(name, std::string("memory that overlaps ") + other.name, "memory of its own");
      }
    }
    ranges_[n_ranges_++] = range;
  }

  const char* op_;
  DType real_ = DType::f32;
  std::array<Range, 10> ranges_{};  // no operation has more operands; a list would allocate at every call
  std::size_t n_ranges_ = 0;
};

}  // namespace

void Backend::check(const GatherBatch& op) {
  Operands c("GatherBatch");
  const auto B = c.dim("inputs", op.inputs, 2, 0), T = op.inputs.dim(1);
  c.output("inputs", op.inputs, DType::i32, {B, T});
  c.output("targets", op.targets, DType::i32, {B, T});
  const DType held = op.tokens.dtype == DType::u16 ? DType::u16 : DType::i32;
  if (op.tokens.rank == 2) {
    c.input("tokens", op.tokens, held, {op.tokens.dim(0), T + 1});
  } else {
    const auto n_tokens = c.dim("tokens", op.tokens, 1, 0);
    c.input("tokens", op.tokens, held, {n_tokens});
    if (op.order.block_size != T)
      c.fail("order.block_size", std::to_string(op.order.block_size), std::to_string(T));
    if (op.order.n_tokens != n_tokens || n_tokens <= T) {
      c.fail("order.n_tokens", std::to_string(op.order.n_tokens),
             std::to_string(n_tokens) + " as tokens has, and above block_size " + std::to_string(T));
    }
  }
  c.micro_steps(op.micro_step, op.micro_steps);
  c.require("state", op.state);
}

void Backend::check(const EmbeddingForward& op) {
  Operands c("EmbeddingForward", "out", op.out);
  const auto B = c.dim("out", op.out, 3, 0), T = op.out.dim(1), C = op.out.dim(2);
  c.output("out", op.out, {B, T, C});
  c.input("inputs", op.inputs, DType::i32, {B, T});
  c.input_table("wte", op.wte, 1, C);
  c.input_table("wpe", op.wpe, T, C);
  c.dropout(op.dropout);
}

void Backend::check(const EmbeddingBackward& op) {
  Operands c("EmbeddingBackward", "dout", op.dout);
  const auto B = c.dim("dout", op.dout, 3, 0), T = op.dout.dim(1), C = op.dout.dim(2);
  c.output_table("dwte", op.dwte, c.exact(), 1, C);
  c.output_table("dwpe", op.dwpe, c.exact(), T, C);
  c.input("dout", op.dout, {B, T, C});
  c.input("inputs", op.inputs, DType::i32, {B, T});
  c.dropout(op.dropout);
}

void Backend::check(const LayerNormForward& op) {
  Operands c("LayerNormForward", "out", op.out);
  const auto N = c.dim("out", op.out, 2, 0), C = op.out.dim(1);
  c.output("out", op.out, {N, C});
  c.output("mean", op.mean, c.exact(), {N});
  c.output("rstd", op.rstd, c.exact(), {N});
  c.input("inp", op.inp, {N, C});
  c.input("weight", op.weight, c.exact(), {C});
  c.input("bias", op.bias, c.exact(), {C});
}

void Backend::check(const ResidualLayerNormForward& op) {
  Operands c("ResidualLayerNormForward", "out", op.out);
  const auto N = c.dim("out", op.out, 2, 0), C = op.out.dim(1);
  c.output("out", op.out, {N, C});
  c.output("residual", op.residual, {N, C});
  c.output("mean", op.mean, c.exact(), {N});
  c.output("rstd", op.rstd, c.exact(), {N});
  c.input("inp", op.inp, {N, C});
  c.input("branch", op.branch, {N, C});
  c.input("weight", op.weight, c.exact(), {C});
  c.input("bias", op.bias, c.exact(), {C});
  c.dropout(op.dropout);
}

void Backend::check(const LayerNormBackward& op) {
  Operands c("LayerNormBackward", "dinp", op.dinp);
  const auto N = c.dim("dinp", op.dinp, 2, 0), C = op.dinp.dim(1);
  c.output("dinp", op.dinp, {N, C});
  c.output("dweight", op.dweight, c.exact(), {C});
  c.output("dbias", op.dbias, c.exact(), {C});
  c.input("dout", op.dout, {N, C});
  c.input("inp", op.inp, {N, C});
  c.input("mean", op.mean, c.exact(), {N});
  c.input("rstd", op.rstd, c.exact(), {N});
  c.input("weight", op.weight, c.exact(), {C});
}

void Backend::check(const DropoutBackward& op) {
  Operands c("DropoutBackward", "dinp", op.dinp);
  const auto N = c.dim("dinp", op.dinp, 2, 0), C = op.dinp.dim(1);
  c.output("dinp", op.dinp, {N, C});
  c.input("dout", op.dout, {N, C});
  c.dropout(op.dropout);
}

void Backend::check(const LinearForward& op) {
  Operands c("LinearForward", "out", op.out);
  const auto N = c.dim("out", op.out, 2, 0), OC = op.out.dim(1), C = c.dim("inp", op.inp, 2, 1);
  c.output("out", op.out, {N, OC});
  if (op.pre_gelu) c.output("pre_gelu", op.pre_gelu, {N, OC});
  c.input("inp", op.inp, {N, C});
  c.input("weight", op.weight, {OC, C});
  if (op.bias) c.input("bias", op.bias, {OC});
}

void Backend::check(const LinearBackwardInput& op) {
  Operands c("LinearBackwardInput", "dinp", op.dinp);
  const auto N = c.dim("dinp", op.dinp, 2, 0), C = op.dinp.dim(1), OC = c.dim("dout", op.dout, 2, 1);
  c.output("dinp", op.dinp, {N, C});
  c.input("dout", op.dout, {N, OC});
  c.input("weight", op.weight, {OC, C});
  if (op.pre_gelu) c.input("pre_gelu", op.pre_gelu, {N, C});
}

void Backend::check(const LinearBackwardWeight& op) {
  Operands c("LinearBackwardWeight", "dout", op.dout);
  const auto OC = c.dim("dweight", op.dweight, 2, 0), C = op.dweight.dim(1), N = c.dim("inp", op.inp, 2, 0);
  c.output("dweight", op.dweight, c.exact(), {OC, C});
  if (op.dbias) c.output("dbias", op.dbias, c.exact(), {OC});
  c.input("dout", op.dout, {N, OC});
  c.input("inp", op.inp, {N, C});
}

void Backend::check(const AttentionForward& op) {
  Operands c("AttentionForward", "out", op.out);
  const auto B = c.dim("out", op.out, 4, 0), T = op.out.dim(1), NH = op.out.dim(2), HS = op.out.dim(3);
  c.output("out", op.out, {B, T, NH, HS});
  c.output("lse", op.lse, c.exact(), {B, NH, T});
  c.input("qkv", op.qkv, {B, T, 3, NH, HS});
}

void Backend::check(const AttentionBackward& op) {
  Operands c("AttentionBackward", "dqkv", op.dqkv);
  const auto B = c.dim("dout", op.dout, 4, 0), T = op.dout.dim(1), NH = op.dout.dim(2), HS = op.dout.dim(3);
  c.output("dqkv", op.dqkv, {B, T, 3, NH, HS});
  c.input("dout", op.dout, {B, T, NH, HS});
  c.input("out", op.out, {B, T, NH, HS});
  c.input("lse", op.lse, c.exact(), {B, NH, T});
  c.input("qkv", op.qkv, {B, T, 3, NH, HS});
}

void Backend::check(const EmbeddingDecode& op) {
  Operands c("EmbeddingDecode", "out", op.out);
  const auto B = c.dim("out", op.out, 2, 0), C = op.out.dim(1);
  c.output("out", op.out, {B, C});
  c.input("tokens", op.tokens, DType::i32, {B});
  c.input("lengths", op.lengths, DType::i32, {B});
  c.input_table("wte", op.wte, 1, C);
  c.input_table("wpe", op.wpe, 1, C);
}

void Backend::check(const CacheKeysValues& op) {
  Operands c("CacheKeysValues", "k_cache", op.k_cache);
  const auto NH = c.dim("k_cache", op.k_cache, 3, 0), S = op.k_cache.dim(1), HS = op.k_cache.dim(2),
             T = c.dim("qkv", op.qkv, 4, 0);
  c.output("k_cache", op.k_cache, {NH, S, HS});
  c.output("v_cache", op.v_cache, {NH, S, HS});
  c.input("qkv", op.qkv, {T, 3, NH, HS});
  if (T > S) c.fail("qkv", op.qkv.shape_text(), "at most " + std::to_string(S) + " rows");
}

void Backend::check(const LinearDecode& op) {
  Operands c("LinearDecode", "inp", op.inp);
  const auto N = c.dim("out", op.out, 2, 0), OC = op.out.dim(1), C = c.dim("inp", op.inp, 2, 1);
  c.output("out", op.out, op.out.dtype == c.exact() ? c.exact() : op.inp.dtype, {N, OC});
  c.input("inp", op.inp, {N, C});
  c.input("weight", op.weight, {OC, C});
  if (op.bias) c.input("bias", op.bias, {OC});
}

void Backend::check(const PackWeight& op) {
  Operands c("PackWeight", "weight", op.weight);
  c.input("weight", op.weight, DType::f32, {op.out.OC, op.out.C});
  if (!op.out.data) c.fail("out", "no memory", "PackedWeight::bytes of it");
  if (op.out.type == WeightType::int8 && op.out.C > PackedWeight::kMostInt8) {
    c.fail("out", "C = " + std::to_string(op.out.C) + " in int8",
           "at most " + std::to_string(PackedWeight::kMostInt8));
  }
}

void Backend::check(const PackedLinear& op) {
  Operands c("PackedLinear", "out", op.out);
  const auto N = c.dim("out", op.out, 2, 0), OC = op.weight.OC, C = op.weight.C;
  c.output("out", op.out, DType::f32, {N, OC});
  c.input("inp", op.inp, DType::f32, {N, C});
  if (!op.weight.data) c.fail("weight", "no memory", "a packed weight");
  if (op.bias) c.input("bias", op.bias, DType::f32, {OC});
}

void Backend::check(const AttentionDecode& op) {
  Operands c("AttentionDecode", "out", op.out);
  const auto B = c.dim("out", op.out, 3, 0), NH = op.out.dim(1), HS = op.out.dim(2),
             S = c.dim("k_cache", op.k_cache, 4, 2);
  c.output("out", op.out, {B, NH, HS});
  c.output("k_cache", op.k_cache, {B, NH, S, HS});
  c.output("v_cache", op.v_cache, {B, NH, S, HS});
  c.input("qkv", op.qkv, {B, 3, NH, HS});
  c.input("lengths", op.lengths, DType::i32, {B});
}

void Backend::check(const HeadLoss& op) {
  Operands c("HeadLoss", "inp", op.inp);
  const auto N = c.dim("inp", op.inp, 2, 0), C = op.inp.dim(1), V = c.dim("weight", op.weight, 2, 0);
  c.output("losses", op.losses, c.exact(), {N});
  if (op.ranks) {
    if (op.dinp) c.fail("ranks", "one beside gradients", "one or the other");
    c.output("ranks", op.ranks, DType::i32, {N});
  }
  if (op.dinp || op.dweight) {
    c.output("dinp", op.dinp, {N, C});
    c.output("dweight", op.dweight, c.exact(), {V, C});
  }
  c.input("inp", op.inp, {N, C});
  c.input("weight", op.weight, {V, C});
  c.input("targets", op.targets, DType::i32, {N});
}

void Backend::check(const SampleTokens& op) {
  Operands c("SampleTokens");
  const auto B = c.dim("logits", op.logits, 2, 0), V = op.logits.dim(1);
  c.output("tokens", op.tokens, DType::i32, {B});
  c.input("logits", op.logits, DType::f32, {B, V});
  if (op.recent) c.input("recent", op.recent, DType::i32, {B, c.dim("recent", op.recent, 2, 1)});
  c.input("positions", op.positions, DType::i32, {B});
  c.input("samples", op.samples, DType::i64, {B});
  op.options.validate();
}

void Backend::check(const AppendTokens& op) {
  Operands c("AppendTokens");
  const auto B = c.dim("tokens", op.tokens, 1, 0);
  c.output("inputs", op.inputs, DType::i32, {B});
  c.output("recent", op.recent, DType::i32, {B, c.dim("recent", op.recent, 2, 1)});
  c.output("written", op.written, DType::i32, {B, c.dim("written", op.written, 2, 1)});
  c.output("positions", op.positions, DType::i32, {B});
  c.output("lengths", op.lengths, DType::i32, {B});
  c.input("tokens", op.tokens, DType::i32, {B});
}

void Backend::check(const BeginStep& op) {
  Operands c("BeginStep");
  c.require("state", op.state);
  c.input("rates", op.rates, DType::f32, {c.dim("rates", op.rates, 1, 0)});
}

void Backend::check(const AccumulateLoss& op) {
  Operands c("AccumulateLoss", "losses", op.losses);
  c.not_bf16("losses", op.losses);
  c.require("state", op.state);
  c.input("losses", op.losses, {c.dim("losses", op.losses, 1, 0)});
}

void Backend::check(const GlobalNorm& op) {
  Operands c("GlobalNorm", "grads", op.grads);
  c.not_bf16("grads", op.grads);
  c.require("state", op.state);
  c.input("grads", op.grads, {c.dim("grads", op.grads, 1, 0)});
  if (!(op.max_norm >= 0)) c.fail("max_norm", std::to_string(op.max_norm), "0 (no clipping) or more");
}

void Backend::check(const AdamW& op) {
  Operands c("AdamW", "params", op.params);
  c.not_bf16("params", op.params);
  const auto P = c.dim("params", op.params, 1, 0);
  c.output("params", op.params, {P});
  c.output("m", op.m, {P});
  c.output("v", op.v, {P});
  if (op.working) c.output("working", op.working, DType::bf16, {P});
  c.input("grads", op.grads, {P});
  if (op.n_decay < 0 || op.n_decay > P)
    c.fail("n_decay", std::to_string(op.n_decay), "0 to " + std::to_string(P));
  c.require("state", op.state);
}

void Backend::check(const AdvanceStep& op) {
  Operands c("AdvanceStep");
  c.require("state", op.state);
  if (op.history && op.history_size < 1) c.fail("history_size", std::to_string(op.history_size), "1 or more");
}

}  // namespace zhgpt
