// Backend::cost: what each operation computes and moves at least. The one place where that is counted; what a
// CUDA kernel books besides is what it takes to do it in several launches.
#include <algorithm>
#include <initializer_list>

#include "zhgpt/backend.h"

namespace zhgpt {
namespace {

double count(const Tensor& tensor) {
  return tensor ? static_cast<double>(tensor.numel()) : 0;
}
double bytes(const Tensor& tensor) {
  return tensor ? static_cast<double>(tensor.bytes()) : 0;
}
// Tensors read or written once, and those that are added to, which are read and written.
double moved(std::initializer_list<Tensor> once, std::initializer_list<Tensor> added_to = {}) {
  double sum = 0;
  for (const Tensor& tensor : once) sum += bytes(tensor);
  for (const Tensor& tensor : added_to) sum += 2 * bytes(tensor);
  return sum;
}
// `rows` rows of a table, or all that it has.
double rows_of(const Tensor& table, std::int64_t rows) {
  const std::int64_t most = table.dim(0);
  return bytes(table) * static_cast<double>(std::min(rows, most)) / static_cast<double>(most);
}
// What products are computed in: f32 is not told from tf32, which is the device's choice.
Arithmetic arithmetic_of(const Tensor& operand) {
  return operand.dtype == DType::bf16 ? Arithmetic::bf16 : Arithmetic::fp32;
}
// (N, K) . (K, M)
double product(const Tensor& rows_and_depth, std::int64_t columns) {
  return 2 * count(rows_and_depth) * static_cast<double>(columns);
}
// `products` of (T, T) with (T, HS) for each head of (B, T, NH, HS), the half that is not seen left out.
double causal(const Tensor& out, double products) {
  return products * count(out) * static_cast<double>(out.dim(1) + 1);
}

}  // namespace

OperationCost Backend::cost(const GatherBatch& op) {
  const double targets = count(op.targets), token = static_cast<double>(dtype_bytes(op.tokens.dtype));
  return {.operation = "GatherBatch", .bytes = moved({op.inputs, op.targets}) + targets * token};
}
OperationCost Backend::cost(const EmbeddingForward& op) {
  const double rows = rows_of(op.wte, op.inputs.numel()) + rows_of(op.wpe, op.inputs.dim(1));
  return {.operation = "EmbeddingForward",
          .flops = 2 * count(op.out),
          .bytes = moved({op.out, op.inputs}) + rows};
}
OperationCost Backend::cost(const EmbeddingBackward& op) {
  const double rows = rows_of(op.dwte, op.inputs.numel()) + rows_of(op.dwpe, op.inputs.dim(1));
  return {.operation = "EmbeddingBackward",
          .flops = 2 * count(op.dout),
          .bytes = moved({op.dout, op.inputs}) + 2 * rows};
}
OperationCost Backend::cost(const LayerNormForward& op) {
  return {.operation = "LayerNormForward",
          .flops = 8 * count(op.inp),
          .bytes = moved({op.out, op.mean, op.rstd, op.inp, op.weight, op.bias})};
}
OperationCost Backend::cost(const ResidualLayerNormForward& op) {
  return {.operation = "ResidualLayerNormForward",
          .flops = 9 * count(op.inp),
          .bytes = moved({op.out, op.residual, op.mean, op.rstd, op.inp, op.branch, op.weight, op.bias})};
}
OperationCost Backend::cost(const LayerNormBackward& op) {
  return {.operation = "LayerNormBackward",
          .flops = 15 * count(op.inp),
          .bytes = moved({op.dout, op.inp, op.mean, op.rstd, op.weight}, {op.dinp, op.dweight, op.dbias})};
}
OperationCost Backend::cost(const DropoutBackward& op) {
  return {.operation = "DropoutBackward", .flops = count(op.dinp), .bytes = moved({op.dinp, op.dout})};
}
OperationCost Backend::cost(const LinearForward& op) {
  return {.operation = "LinearForward",
          .flops = product(op.inp, op.out.dim(1)),
          .bytes = moved({op.out, op.pre_gelu, op.inp, op.weight, op.bias}),
          .arithmetic = arithmetic_of(op.inp)};
}
OperationCost Backend::cost(const LinearBackwardInput& op) {
  return {.operation = "LinearBackwardInput",
          .flops = product(op.dout, op.dinp.dim(1)),
          .bytes = moved({op.dinp, op.dout, op.weight, op.pre_gelu}),
          .arithmetic = arithmetic_of(op.dout)};
}
OperationCost Backend::cost(const LinearBackwardWeight& op) {
  return {.operation = "LinearBackwardWeight",
          .flops = product(op.dout, op.inp.dim(1)),
          .bytes = moved({op.dout, op.inp}, {op.dweight, op.dbias}),
          .arithmetic = arithmetic_of(op.dout)};
}
OperationCost Backend::cost(const AttentionForward& op) {
  return {.operation = "AttentionForward",
          .flops = causal(op.out, 2),
          .bytes = moved({op.out, op.lse, op.qkv}),
          .arithmetic = arithmetic_of(op.qkv)};
}
// Five products: the scores again, and the gradients of weights, values, queries and keys.
OperationCost Backend::cost(const AttentionBackward& op) {
  return {.operation = "AttentionBackward",
          .flops = causal(op.out, 5),
          .bytes = moved({op.dqkv, op.dout, op.out, op.lse, op.qkv}),
          .arithmetic = arithmetic_of(op.qkv)};
}
OperationCost Backend::cost(const EmbeddingDecode& op) {
  const std::int64_t B = op.tokens.numel();
  return {.operation = "EmbeddingDecode",
          .flops = count(op.out),
          .bytes = moved({op.out, op.tokens, op.lengths}) + rows_of(op.wte, B) + rows_of(op.wpe, B)};
}
OperationCost Backend::cost(const CacheKeysValues& op) {
  return {.operation = "CacheKeysValues", .bytes = 2 * bytes(op.qkv) * 2 / 3};
}
// As if every row had filled its cache: the lengths are in device memory.
OperationCost Backend::cost(const AttentionDecode& op) {
  return {.operation = "AttentionDecode",
          .flops = 2 * (count(op.k_cache) + count(op.v_cache)),
          .bytes = moved({op.out, op.k_cache, op.v_cache, op.qkv, op.lengths}),
          .arithmetic = arithmetic_of(op.qkv)};
}
OperationCost Backend::cost(const LinearDecode& op) {
  return {.operation = "LinearDecode",
          .flops = product(op.inp, op.out.dim(1)),
          .bytes = moved({op.out, op.inp, op.weight, op.bias}),
          .arithmetic = arithmetic_of(op.inp)};
}
OperationCost Backend::cost(const PackWeight& op) {
  const PackedWeight& out = op.out;
  return {.operation = "PackWeight",
          .bytes = bytes(op.weight) + static_cast<double>(PackedWeight::bytes(out.type, out.OC, out.C))};
}
OperationCost Backend::cost(const PackedLinear& op) {
  const PackedWeight& weight = op.weight;
  return {.operation = "PackedLinear",
          .flops = product(op.inp, weight.OC),
          .bytes = moved({op.out, op.inp, op.bias}) +
                   static_cast<double>(PackedWeight::bytes(weight.type, weight.OC, weight.C))};
}
// The logits, which need not exist in memory, and both their gradients where they are wanted; the softmax.
OperationCost Backend::cost(const HeadLoss& op) {
  const std::int64_t V = op.weight.dim(0);
  const double logits = static_cast<double>(op.targets.numel()) * static_cast<double>(V);
  return {.operation = "HeadLoss",
          .flops = (op.dinp ? 3 : 1) * product(op.inp, V) + (op.dinp ? 8 : 4) * logits,
          .bytes = moved({op.losses, op.ranks, op.dinp, op.inp, op.weight, op.targets}, {op.dweight}),
          .arithmetic = arithmetic_of(op.inp)};
}
OperationCost Backend::cost(const SampleTokens& op) {
  return {.operation = "SampleTokens",
          .bytes = moved({op.tokens, op.logits, op.recent, op.positions, op.samples})};
}
// A number into each of two rings, one over, and two counted on.
OperationCost Backend::cost(const AppendTokens& op) {
  return {.operation = "AppendTokens", .bytes = 8 * bytes(op.tokens)};
}
OperationCost Backend::cost(const BeginStep&) {
  return {.operation = "BeginStep", .bytes = 8};
}
OperationCost Backend::cost(const AccumulateLoss& op) {
  return {.operation = "AccumulateLoss", .flops = count(op.losses), .bytes = bytes(op.losses)};
}
OperationCost Backend::cost(const GlobalNorm& op) {
  return {.operation = "GlobalNorm", .flops = 2 * count(op.grads), .bytes = bytes(op.grads)};
}
OperationCost Backend::cost(const AdamW& op) {
  return {.operation = "AdamW",
          .flops = 14 * count(op.params),
          .bytes = moved({op.grads, op.working}, {op.params, op.m, op.v})};
}
OperationCost Backend::cost(const AdvanceStep& op) {
  return {.operation = "AdvanceStep", .bytes = (op.history ? 3.0 : 2.0) * sizeof(StepState)};
}

}  // namespace zhgpt
