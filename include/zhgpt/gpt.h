// Gpt: GPT-2 (pre-LN, learned positions, biases, tanh GELU, tied head) as a sequence of operations on a
// Backend.
//
// One training micro-batch is `forward`, then `backward`: tokens (B,T) -> embedding -> n_layer x [layernorm,
// qkv, attention, projection, residual+layernorm, MLP, residual+layernorm] -> head and loss -> the same list
// backwards. All memory is taken when the object is made: nothing is allocated later.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "zhgpt/backend.h"
#include "zhgpt/config.h"
#include "zhgpt/params.h"

namespace zhgpt {

class Gpt {
 public:
  enum class Purpose { inference, training };
  // What backward computes again instead of keeping it from forward: nothing; of each block fc and its GELU,
  // the two widest activations; or all of a block but the stream that leaves it. Gradients have the same bits
  // whichever it is.
  enum class Recompute { none, gelu, block };

  // Room for batches of up to `max_batch` rows of block_size tokens. Parameters are zero until they are set:
  // nothing draws initial values that a file will replace. dtype is that of activations and
  // products. In bf16 the parameters, gradients and sums are f32 all the same, and a working copy of the
  // parameters is what products read. Throws DeviceError when memory does not suffice.
  Gpt(Backend& backend, const ModelConfig& config, std::int64_t max_batch, Purpose purpose,
      DType dtype = DType::f32, Recompute recompute = Recompute::none, NetworkEnds ends = {});
  // For inference in f32 of weights that are used where they lie: no memory is taken for parameters. `place`
  // gives each one's address, a multiple of kPlaceAlignment in the backend's memory; there they stay,
  // unchanged, while the model lives. REQUIRES: no use of params(), set_parameters or parameters_changed.
  static constexpr std::int64_t kPlaceAlignment = 64;  // bytes
  using WeightPlace = std::function<const float*(const ParameterSpec&)>;
  Gpt(Backend& backend, const ModelConfig& config, std::int64_t max_batch, const WeightPlace& place,
      NetworkEnds ends = {});

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  const ParameterTable& table() const { return table_; }
  Backend& backend() { return backend_; }

  Tensor params() const { return flat(params_buffer_, exact_); }  // (P), flat, exact
  Tensor grads() const { return flat(grads_buffer_, exact_); }    // (P), flat, exact; training only
  Tensor working() const;  // (P), flat, params in bf16; absent in other dtypes
  std::int64_t activation_bytes() const { return activations_buffer_.bytes(); }
  const GptTensors& param_tensors() const { return params_; }
  const GptTensors& grad_tensors() const { return grads_; }
  void set_parameters(const std::vector<float>& flat_values);  // (P) in table order
  void parameters_changed();  // after params() was written from outside: renews the working copy

  Tensor inputs(std::int64_t B, std::int64_t T) const;   // (B, T) i32, where the batch is to be put
  Tensor targets(std::int64_t B, std::int64_t T) const;  // (B, T) i32, likewise
  Tensor losses(std::int64_t B, std::int64_t T) const;   // (B*T), after `evaluate` or `forward_backward`
  Tensor ranks(std::int64_t B, std::int64_t T) const;    // (B*T) i32, after `evaluate`: as in HeadLoss

  // Losses of the batch in inputs/targets, and grads += scale * d(sum of losses). `dropout` says where the
  // masks are drawn; its `site` is set here.
  void forward_backward(std::int64_t B, std::int64_t T, double scale, const Dropout& dropout);
  // Losses and ranks only, without dropout.
  void evaluate(std::int64_t B, std::int64_t T);
  // Logits (B, V) of the last position of each row, without dropout or targets.
  // Throws ConfigError when there is no head.
  Tensor last_logits(std::int64_t B, std::int64_t T);

  // For parts of a model, which hand the residual stream on from one to the next. Without an embedding, the
  // stream (B*T, C) is to be put into `stream_in` before the forward pass.
  Tensor stream_in(std::int64_t B, std::int64_t T) const { return embedded_.rows(0, B * T); }
  // The forward pass of a part without a head: the stream (B*T, C) that leaves its last block.
  Tensor stream_out(std::int64_t B, std::int64_t T);

 private:
  struct BlockActivations {
    Tensor ln_1, mean_1, rstd_1;  // (N, C), (N), (N)
    Tensor qkv, attention, lse;   // (N, 3C), (N, C), (NH * N)
    Tensor residual_1;            // (N, C), after attention
    Tensor ln_2, mean_2, rstd_2;
    Tensor pre_gelu, gelu;  // (N, 4C)
    Tensor residual_2;      // (N, C), after the MLP
  };

  Tensor flat(const Buffer& buffer, DType dtype) const {
    return Tensor(buffer.data(), dtype, {table_.flat_size()});
  }
  void allocate_activations(Purpose purpose);
  BlockActivations& block(std::int64_t layer) {
    return blocks_[static_cast<std::size_t>(layer) % blocks_.size()];
  }
  Tensor block_input(std::int64_t layer, std::int64_t N);  // (N, C)
  void forward_ln_1(std::int64_t layer, std::int64_t N);
  void forward_attention(std::int64_t layer, std::int64_t B, std::int64_t T, const Dropout& dropout);
  void forward_fc(std::int64_t layer, std::int64_t N);
  void forward(std::int64_t B, std::int64_t T, const Dropout& dropout);
  void recompute(std::int64_t layer, std::int64_t B, std::int64_t T, const Dropout& dropout);
  void backward(std::int64_t B, std::int64_t T, const Dropout& dropout);
  Tensor through_dropout(Tensor dout, const Dropout& dropout);

  Backend& backend_;
  ModelConfig config_;
  std::int64_t max_batch_;
  DType dtype_, exact_;
  Recompute recompute_;
  ParameterTable table_;
  Buffer params_buffer_, working_buffer_, grads_buffer_, activations_buffer_;
  GptTensors params_, grads_;

  std::vector<BlockActivations> blocks_;  // one a layer in training, two in turn for inference
  Tensor inputs_, targets_, losses_;      // (N)
  Tensor ranks_;                          // (N)
  Tensor embedded_, branch_;              // (N, C); without an embedding, embedded_ is given
  Tensor ln_f_, mean_f_, rstd_f_;
  Tensor last_rows_, logits_;           // (max_batch, C), (max_batch, V)
  Tensor dresidual_, dbranch_, dnorm_;  // (N, C)
  Tensor dwide_;                        // (N, 4C)
};

}  // namespace zhgpt
