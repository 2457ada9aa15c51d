#include "model/decoder.h"

#include <algorithm>

#include "model/arena.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

void read_logits(Backend& backend, const Tensor& logits, std::span<float> to) {
  if (logits.dtype == DType::f32) {
    backend.download(to.data(), logits.data, logits.bytes());
  } else if (logits.dtype == DType::f64) {
    std::vector<double> wide(to.size());
    backend.download(wide.data(), logits.data, logits.bytes());
    std::transform(wide.begin(), wide.end(), to.begin(), [](double x) { return static_cast<float>(x); });
  } else {
    std::vector<std::uint16_t> bits(to.size());
    backend.download(bits.data(), logits.data, logits.bytes());
    std::transform(bits.begin(), bits.end(), to.begin(), bfloat16_value);
  }
}

Decoder::Decoder(Gpt& model, std::int64_t rows, WeightType weights)
    : model_(model), backend_(model.backend()), config_(model.config()) {
  const std::int64_t C = config_.n_embd, NH = config_.n_head, T = config_.block_size, V = config_.vocab_size;
  const std::int64_t N = std::max(T, rows);
  const DType dtype = model.dtype(), exact = dtype == DType::bf16 ? DType::f32 : dtype;
  const bool packs = backend_.packs_weights() && dtype == DType::f32;
  if (weights != WeightType::f32 && !packs) {
    throw ConfigError(tr(Msg::weights_not_packed, backend_.name()));
  }

  const GptTensors& p = model.param_tensors();
  layers_.resize(static_cast<std::size_t>(config_.n_layer));
  std::vector<Weight*> all{&head_};
  head_.tensor = p.wte;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    const BlockTensors& h = p.h[l];
    layer.qkv = {h.attn_weight, h.attn_bias, {}};
    layer.proj = {h.proj_weight, h.proj_bias, {}};
    layer.fc = {h.fc_weight, h.fc_bias, {}};
    layer.fc_proj = {h.fc_proj_weight, h.fc_proj_bias, {}};
    all.insert(all.end(), {&layer.qkv, &layer.proj, &layer.fc, &layer.fc_proj});
  }

  Arena arena;
  arena.add(tokens_, DType::i32, {N});
  arena.add(lengths_, DType::i32, {N});
  for (Tensor* wide : {&residual_, &residual_1_, &norm_, &branch_, &attention_})
    arena.add(*wide, dtype, {N, C});
  for (Tensor* one : {&mean_, &rstd_}) arena.add(*one, exact, {N});
  arena.add(lse_, exact, {NH * N});
  arena.add(qkv_, dtype, {N, 3 * C});
  arena.add(gelu_, dtype, {N, 4 * C});
  if (!packs) arena.add(pre_gelu_, dtype, {N, 4 * C});
  arena.add(logits_, exact, {rows, V});
  activations_buffer_ = arena.allocate(backend_, "activations of decoding");

  Arena cache;
  for (Layer& layer : layers_) {
    for (Tensor* kv : {&layer.k_cache, &layer.v_cache})
      cache.add(*kv, dtype, {rows, NH, T, config_.head_size()});
  }
  cache_buffer_ = cache.allocate(backend_, "keys and values");

  if (!packs) return;
  std::int64_t bytes = 0;
  for (Weight* w : all) {
    w->packed = {nullptr, weights, w->tensor.dim(0), w->tensor.dim(1)};
    bytes += PackedWeight::bytes(weights, w->packed.OC, w->packed.C);
  }
  packed_buffer_ = backend_.allocate(bytes, "packed weights");
  char* at = static_cast<char*>(packed_buffer_.data());
  for (Weight* w : all) {
    w->packed.data = at;
    at += PackedWeight::bytes(weights, w->packed.OC, w->packed.C);
    backend_.run(PackWeight{w->packed, w->tensor});
  }
}

void Decoder::product_of_many(Tensor out, Tensor inp, const Weight& weight, bool gelu) {
  if (weight.packed.data) return product_of_few(out, inp, weight, gelu);
  const Tensor pre_gelu = gelu ? pre_gelu_.rows(0, out.dim(0)) : Tensor();
  backend_.run(LinearForward{out, pre_gelu, inp, weight.tensor, weight.bias});
}

void Decoder::product_of_few(Tensor out, Tensor inp, const Weight& weight, bool gelu) {
  if (weight.packed.data) {
    backend_.run(PackedLinear{out, inp, weight.packed, weight.bias, gelu});
  } else {
    backend_.run(LinearDecode{out, inp, weight.tensor, weight.bias, gelu});
  }
}

// From residual_ to norm_, the input of the head: attention(layer) makes attention_ of qkv_.
template <class Attention>
void Decoder::blocks(std::int64_t N, Product product, const Attention& attention) {
  const GptTensors& p = model_.param_tensors();
  const auto rows = [N](Tensor t) { return t.rows(0, N); };
  const auto linear = [&](Tensor out, Tensor inp, const Weight& weight, bool gelu = false) {
    (this->*product)(out, inp, weight, gelu);
  };
  const auto add_branch = [&](Tensor& to, Tensor& from, Tensor weight, Tensor bias) {
    backend_.run(ResidualLayerNormForward{.out = rows(norm_),
                                          .residual = rows(to),
                                          .mean = rows(mean_),
                                          .rstd = rows(rstd_),
                                          .inp = rows(from),
                                          .branch = rows(branch_),
                                          .weight = weight,
                                          .bias = bias,
                                          .dropout = {}});
  };
  backend_.run(LayerNormForward{rows(norm_), rows(mean_), rows(rstd_), rows(residual_), p.h[0].ln_1_weight,
                                p.h[0].ln_1_bias});
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    linear(rows(qkv_), rows(norm_), layer.qkv);
    attention(layer);
    linear(rows(branch_), rows(attention_), layer.proj);
    add_branch(residual_1_, residual_, p.h[l].ln_2_weight, p.h[l].ln_2_bias);
    linear(rows(gelu_), rows(norm_), layer.fc, true);
    linear(rows(branch_), rows(gelu_), layer.fc_proj);
    const bool last = l + 1 == layers_.size();
    add_branch(residual_, residual_1_, last ? p.ln_f_weight : p.h[l + 1].ln_1_weight,
               last ? p.ln_f_bias : p.h[l + 1].ln_1_bias);
  }
}

void Decoder::prefill(std::int64_t row, std::span<const std::int32_t> tokens) {
  const std::int64_t C = config_.n_embd, NH = config_.n_head, HS = config_.head_size();
  const auto T = static_cast<std::int64_t>(tokens.size());
  const GptTensors& p = model_.param_tensors();
  backend_.upload(tokens_.data, tokens.data(), T * 4);
  backend_.run(EmbeddingForward{
      residual_.rows(0, T).reshaped({1, T, C}), tokens_.rows(0, T).reshaped({1, T}), p.wte, p.wpe, {}});
  blocks(T, &Decoder::product_of_many, [&](const Layer& layer) {
    const auto of_row = [row, NH, HS](Tensor cache) {
      return cache.rows(row, 1).reshaped({NH, cache.dim(2), HS});
    };
    backend_.run(AttentionForward{attention_.rows(0, T).reshaped({1, T, NH, HS}),
                                  lse_.rows(0, NH * T).reshaped({1, NH, T}),
                                  qkv_.rows(0, T).reshaped({1, T, 3, NH, HS})});
    backend_.run(CacheKeysValues{of_row(layer.k_cache), of_row(layer.v_cache),
                                 qkv_.rows(0, T).reshaped({T, 3, NH, HS})});
  });
}

void Decoder::decode(std::int64_t first_row, std::span<const std::int32_t> tokens,
                     std::span<const std::int32_t> lengths) {
  const auto B = static_cast<std::int64_t>(tokens.size());
  backend_.upload(tokens_.data, tokens.data(), B * 4);
  backend_.upload(lengths_.data, lengths.data(), B * 4);
  decode(first_row, tokens_.rows(0, B), lengths_.rows(0, B));
}

void Decoder::decode(std::int64_t first_row, Tensor tokens, Tensor lengths) {
  const std::int64_t B = tokens.dim(0), NH = config_.n_head, HS = config_.head_size();
  const GptTensors& p = model_.param_tensors();
  backend_.run(EmbeddingDecode{residual_.rows(0, B), tokens, lengths, p.wte, p.wpe});
  blocks(B, &Decoder::product_of_few, [&](const Layer& layer) {
    backend_.run(AttentionDecode{attention_.rows(0, B).reshaped({B, NH, HS}),
                                 layer.k_cache.rows(first_row, B), layer.v_cache.rows(first_row, B),
                                 qkv_.rows(0, B).reshaped({B, 3, NH, HS}), lengths});
  });
  product_of_few(logits_.rows(first_row, B), norm_.rows(0, B), head_, false);
}

}  // namespace zhgpt
