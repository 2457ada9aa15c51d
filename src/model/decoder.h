// Decoder: the forward pass of a Gpt as generating text takes it. It keeps the keys and values of each row,
// so that one token more costs one row of every product.
//
// On the CPU in f32 logits have the bits of Gpt::last_logits for the same tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zhgpt/gpt.h"

namespace zhgpt {

// A row of logits (V) as f32, whatever they are on the device.
void read_logits(Backend& backend, const Tensor& logits, std::span<float> to);

class Decoder {
 public:
  // Room for `rows` texts of block_size tokens each. `weights` other than f32: where Backend::packs_weights;
  // ConfigError elsewhere. The model's parameters must not change meanwhile.
  Decoder(Gpt& model, std::int64_t rows, WeightType weights);

  Backend& backend() { return backend_; }
  // The row's cache becomes that of `tokens`, fewer than block_size, in one pass.
  void prefill(std::int64_t row, std::span<const std::int32_t> tokens);
  // One token more for each of the rows from `first_row` on; row b has lengths[b] before it, fewer than
  // block_size. Then `logits` are those of what follows. A row's bits do not depend on the others.
  void decode(std::int64_t first_row, std::span<const std::int32_t> tokens,
              std::span<const std::int32_t> lengths);
  // The same of what device memory holds, for all rows: operations alone, that can be recorded.
  void decode(Tensor tokens, Tensor lengths) { decode(0, tokens, lengths); }
  Tensor logits() const { return logits_; }                               // (rows, V), exact
  Tensor logits(std::int64_t row) const { return logits_.rows(row, 1); }  // (1, V)

 private:
  // A product's weight, as the model has it or packed.
  struct Weight {
    Tensor tensor, bias;
    PackedWeight packed;
  };
  struct Layer {
    Weight qkv, proj, fc, fc_proj;
    Tensor k_cache, v_cache;  // (rows, NH, S, HS)
  };
  // out = inp . weight^T + bias, for many rows or for few.
  using Product = void (Decoder::*)(Tensor out, Tensor inp, const Weight& weight, bool gelu);
  void product_of_many(Tensor out, Tensor inp, const Weight& weight, bool gelu);
  void product_of_few(Tensor out, Tensor inp, const Weight& weight, bool gelu);
  template <class Attention>
  void blocks(std::int64_t N, Product product, const Attention& attention);
  void decode(std::int64_t first_row, Tensor tokens, Tensor lengths);

  Gpt& model_;
  Backend& backend_;
  const ModelConfig config_;
  std::vector<Layer> layers_;
  Weight head_;
  Buffer packed_buffer_, cache_buffer_, activations_buffer_;
  Tensor tokens_, lengths_;                       // (N) i32
  Tensor residual_, residual_1_, norm_, branch_;  // (N, C)
  Tensor mean_, rstd_, lse_;                      // (N), (N), (NH * N)
  Tensor qkv_, attention_, pre_gelu_, gelu_;      // (N, 3C), (N, C), (N, 4C)
  Tensor logits_;                                 // (rows, V), exact: they are chosen from
};

}  // namespace zhgpt
