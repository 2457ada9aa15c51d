// ParameterTable: every parameter of the model in one ordered list.
//
// The table drives allocation, initialisation, the weight-decay mask, the order in checkpoints and what is
// printed. Parameters, gradients and both Adam moments are each one flat array in this order. Matrices come
// first and vectors after, so that weight decay (matrices only) is a prefix. Each tensor starts at a multiple
// of 64 elements; the gaps hold zeros, get zero gradients and stay zero.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/config.h"
#include "zhgpt/tensor.h"

namespace zhgpt {

struct ParameterSpec {
  std::string name;  // GPT-2's state-dict name, e.g. h.0.attn.c_attn.weight; weights are (OC, C) row-major
  std::vector<std::int64_t> shape;
  double init_std = 0;  // normal with this deviation, or the constant init_value when it is 0
  double init_value = 0;
  bool weight_decay = false;
  std::int64_t offset = 0;  // of its first element in the flat array
  std::int64_t numel = 0;
};

// Which ends of the network are there. A part of a model that was split lacks one or both: it is given the
// residual stream instead of tokens, or gives it instead of logits. wte belongs to either end.
struct NetworkEnds {
  bool embedding = true, head = true;
};

class ParameterTable {
 public:
  explicit ParameterTable(const ModelConfig& config, NetworkEnds ends = {});

  NetworkEnds ends() const { return ends_; }
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  const ParameterSpec& find(const std::string& name) const;  // throws ConfigError
  std::int64_t flat_size() const { return flat_size_; }      // with gaps
  std::int64_t n_decay() const { return n_decay_; }          // flat elements that decay
  std::int64_t count() const;                                // parameters, without gaps

  // The initial values: N(0, 0.02), the projections onto the residual stream N(0, 0.02 / sqrt(2 n_layer)),
  // biases 0, layernorm weights 1 (A. Radford et al., GPT-2, 2019). Number i of tensor t depends on (seed, t,
  // i) only.
  std::vector<float> initial_values(std::uint64_t seed) const;

 private:
  void add(std::string name, std::vector<std::int64_t> shape, double init_std, double init_value = 0);
  NetworkEnds ends_;
  std::vector<ParameterSpec> specs_;
  std::int64_t flat_size_ = 0, n_decay_ = 0;
};

// The memory at `data` seen as this parameter.
Tensor shaped(void* data, DType dtype, const ParameterSpec& spec);

// Views of the tensors, by the model's structure. Those of an end that is not there stay absent.
struct BlockTensors {
  Tensor ln_1_weight, ln_1_bias;        // (C)
  Tensor attn_weight, attn_bias;        // (3C, C), (3C)
  Tensor proj_weight, proj_bias;        // (C, C), (C)
  Tensor ln_2_weight, ln_2_bias;        // (C)
  Tensor fc_weight, fc_bias;            // (4C, C), (4C)
  Tensor fc_proj_weight, fc_proj_bias;  // (C, 4C), (C)
};
struct GptTensors {
  Tensor wte, wpe;  // (V, C), (block_size, C)
  std::vector<BlockTensors> h;
  Tensor ln_f_weight, ln_f_bias;  // (C)

  using Place = std::function<Tensor(const ParameterSpec&)>;  // where one lies
  GptTensors(const ParameterTable& table, const ModelConfig& config, const Place& place);
  // Matrices and biases of products in `products`, layernorm's weights and biases in `norms`: flat arrays in
  // table order.
  GptTensors(const ParameterTable& table, const ModelConfig& config, const Tensor& products,
             const Tensor& norms);
};

}  // namespace zhgpt
