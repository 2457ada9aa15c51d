#include "zhgpt/gpt.h"

#include <algorithm>

#include "model/arena.h"
#include "zhgpt/bfloat16.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

// Which dropout of the model a mask belongs to: part of the resume contract.
constexpr std::uint32_t kEmbeddingSite = 0;
constexpr std::uint32_t attention_site(std::int64_t layer) {
  return static_cast<std::uint32_t>(2 * layer + 1);
}
constexpr std::uint32_t mlp_site(std::int64_t layer) {
  return static_cast<std::uint32_t>(2 * layer + 2);
}

Dropout at_site(Dropout dropout, std::uint32_t site) {
  dropout.site = site;
  return dropout;
}

}  // namespace

Gpt::Gpt(Backend& backend, const ModelConfig& config, std::int64_t max_batch, Purpose purpose, DType dtype,
         Recompute recompute, NetworkEnds ends)
    : backend_(backend),
      config_((config.validate(), config)),
      max_batch_(max_batch),
      dtype_(dtype),
      exact_(dtype == DType::bf16 ? DType::f32 : dtype),
      recompute_(recompute),
      table_(config, ends),
      params_buffer_(backend.allocate(table_.flat_size() * dtype_bytes(exact_), "parameters")),
      working_buffer_(dtype == DType::bf16
                          ? backend.allocate(table_.flat_size() * dtype_bytes(dtype), "parameters in bf16")
                          : Buffer()),
      grads_buffer_(purpose == Purpose::training
                        ? backend.allocate(table_.flat_size() * dtype_bytes(exact_), "gradients")
                        : Buffer()),
      params_(table_, config, working() ? working() : params(), params()),
      grads_(table_, config, grads(), grads()) {
  allocate_activations(purpose);
}

Gpt::Gpt(Backend& backend, const ModelConfig& config, std::int64_t max_batch, const WeightPlace& place,
         NetworkEnds ends)
    : backend_(backend),
      config_((config.validate(), config)),
      max_batch_(max_batch),
      dtype_(DType::f32),
      exact_(DType::f32),
      recompute_(Recompute::none),
      table_(config, ends),
      // Operations take tensors that can be written to; inference writes to no parameter.
      params_(table_, config,
              [&](const ParameterSpec& spec) {
                return shaped(const_cast<float*>(place(spec)), DType::f32, spec);
              }),
      grads_(table_, config, grads(), grads()) {
  allocate_activations(Purpose::inference);
}

void Gpt::allocate_activations(Purpose purpose) {
  const bool training = purpose == Purpose::training;
  const std::int64_t N = max_batch_ * config_.block_size, C = config_.n_embd;
  // Without a backward pass a block's values are needed only until the next block has read them.
  blocks_.resize(
      static_cast<std::size_t>(training ? config_.n_layer : std::min<std::int64_t>(config_.n_layer, 2)));

  Arena arena;
  for (Tensor* ids : {&inputs_, &targets_, &ranks_}) arena.add(*ids, DType::i32, {N});
  for (Tensor* rows : {&losses_, &mean_f_, &rstd_f_}) arena.add(*rows, exact_, {N});
  for (Tensor* wide : {&embedded_, &branch_, &ln_f_}) arena.add(*wide, dtype_, {N, C});
  arena.add(last_rows_, dtype_, {max_batch_, C});
  arena.add(logits_, dtype_, {max_batch_, config_.vocab_size});
  for (BlockActivations& a : blocks_) {
    const bool first = &a == &blocks_.front();
    arena.add(a.residual_2, dtype_, {N, C});
    if (first || recompute_ != Recompute::block) {
      for (Tensor* rows : {&a.mean_1, &a.rstd_1, &a.mean_2, &a.rstd_2}) arena.add(*rows, exact_, {N});
      for (Tensor* wide : {&a.ln_1, &a.attention, &a.residual_1, &a.ln_2}) arena.add(*wide, dtype_, {N, C});
      arena.add(a.qkv, dtype_, {N, 3 * C});
      arena.add(a.lse, exact_, {N, config_.n_head});
    }
    if (first || recompute_ == Recompute::none) {
      for (Tensor* wide : {&a.pre_gelu, &a.gelu}) arena.add(*wide, dtype_, {N, 4 * C});
    }
  }
  if (training) {
    for (Tensor* wide : {&dresidual_, &dbranch_, &dnorm_}) arena.add(*wide, dtype_, {N, C});
    arena.add(dwide_, dtype_, {N, 4 * C});
  }
  activations_buffer_ = arena.allocate(backend_, "activations");

  for (BlockActivations& a : blocks_) {  // what got no memory of its own is the first block's
    if (recompute_ == Recompute::block) {
      const Tensor own = a.residual_2;
      a = blocks_.front();
      a.residual_2 = own;
    } else if (recompute_ == Recompute::gelu) {
      a.pre_gelu = blocks_.front().pre_gelu;
      a.gelu = blocks_.front().gelu;
    }
  }
}

void Gpt::set_parameters(const std::vector<float>& flat_values) {
  if (static_cast<std::int64_t>(flat_values.size()) != table_.flat_size()) {
    throw ConfigError("Gpt::set_parameters: got " + std::to_string(flat_values.size()) +
                      " values, expected " + std::to_string(table_.flat_size()));
  }
  if (exact_ == DType::f64) {
    const std::vector<double> wide(flat_values.begin(), flat_values.end());
    backend_.upload(params_buffer_.data(), wide.data(), params_buffer_.bytes());
  } else {
    backend_.upload(params_buffer_.data(), flat_values.data(), params_buffer_.bytes());
  }
  parameters_changed();
}

Tensor Gpt::working() const {
  return working_buffer_.data() ? flat(working_buffer_, dtype_) : Tensor();
}

void Gpt::parameters_changed() {
  if (!working()) return;
  const auto size = static_cast<std::size_t>(table_.flat_size());
  std::vector<float> values(size);
  std::vector<std::uint16_t> rounded(size);
  backend_.download(values.data(), params_buffer_.data(), params_buffer_.bytes());
  std::transform(values.begin(), values.end(), rounded.begin(), bfloat16_bits);
  backend_.upload(working_buffer_.data(), rounded.data(), working_buffer_.bytes());
}

Tensor Gpt::inputs(std::int64_t B, std::int64_t T) const {
  return inputs_.rows(0, B * T).reshaped({B, T});
}
Tensor Gpt::targets(std::int64_t B, std::int64_t T) const {
  return targets_.rows(0, B * T).reshaped({B, T});
}
Tensor Gpt::losses(std::int64_t B, std::int64_t T) const {
  return losses_.rows(0, B * T);
}
Tensor Gpt::ranks(std::int64_t B, std::int64_t T) const {
  return ranks_.rows(0, B * T);
}

Tensor Gpt::block_input(std::int64_t layer, std::int64_t N) {
  return (layer == 0 ? embedded_ : block(layer - 1).residual_2).rows(0, N);
}

// ln_1 of a block that no block before it has computed on its way.
void Gpt::forward_ln_1(std::int64_t layer, std::int64_t N) {
  BlockActivations& a = block(layer);
  const BlockTensors& p = params_.h[static_cast<std::size_t>(layer)];
  backend_.run(LayerNormForward{.out = a.ln_1.rows(0, N),
                                .mean = a.mean_1.rows(0, N),
                                .rstd = a.rstd_1.rows(0, N),
                                .inp = block_input(layer, N),
                                .weight = p.ln_1_weight,
                                .bias = p.ln_1_bias});
}

// From ln_1 to residual_1 and ln_2.
void Gpt::forward_attention(std::int64_t layer, std::int64_t B, std::int64_t T, const Dropout& dropout) {
  const std::int64_t N = B * T, NH = config_.n_head, HS = config_.head_size();
  const auto rows = [N](Tensor t) { return t.rows(0, N); };
  const BlockTensors& p = params_.h[static_cast<std::size_t>(layer)];
  BlockActivations& a = block(layer);
  backend_.run(LinearForward{
      .out = rows(a.qkv), .pre_gelu = {}, .inp = rows(a.ln_1), .weight = p.attn_weight, .bias = p.attn_bias});
  backend_.run(AttentionForward{.out = rows(a.attention).reshaped({B, T, NH, HS}),
                                .lse = rows(a.lse).reshaped({B, NH, T}),
                                .qkv = rows(a.qkv).reshaped({B, T, 3, NH, HS})});
  backend_.run(LinearForward{.out = rows(branch_),
                             .pre_gelu = {},
                             .inp = rows(a.attention),
                             .weight = p.proj_weight,
                             .bias = p.proj_bias});
  backend_.run(ResidualLayerNormForward{.out = rows(a.ln_2),
                                        .residual = rows(a.residual_1),
                                        .mean = rows(a.mean_2),
                                        .rstd = rows(a.rstd_2),
                                        .inp = block_input(layer, N),
                                        .branch = rows(branch_),
                                        .weight = p.ln_2_weight,
                                        .bias = p.ln_2_bias,
                                        .dropout = at_site(dropout, attention_site(layer))});
}

// From ln_2 to pre_gelu and gelu.
void Gpt::forward_fc(std::int64_t layer, std::int64_t N) {
  const BlockTensors& p = params_.h[static_cast<std::size_t>(layer)];
  BlockActivations& a = block(layer);
  backend_.run(LinearForward{.out = a.gelu.rows(0, N),
                             .pre_gelu = a.pre_gelu.rows(0, N),
                             .inp = a.ln_2.rows(0, N),
                             .weight = p.fc_weight,
                             .bias = p.fc_bias});
}

void Gpt::forward(std::int64_t B, std::int64_t T, const Dropout& dropout) {
  const std::int64_t N = B * T, C = config_.n_embd;
  const auto rows = [N](Tensor t) { return t.rows(0, N); };

  const NetworkEnds ends = table_.ends();
  if (ends.embedding) {
    backend_.run(EmbeddingForward{.out = rows(embedded_).reshaped({B, T, C}),
                                  .inputs = inputs(B, T),
                                  .wte = params_.wte,
                                  .wpe = params_.wpe,
                                  .dropout = at_site(dropout, kEmbeddingSite)});
  }
  forward_ln_1(0, N);
  for (std::int64_t l = 0; l < config_.n_layer; ++l) {
    const BlockTensors& p = params_.h[static_cast<std::size_t>(l)];
    BlockActivations& a = block(l);
    forward_attention(l, B, T, dropout);
    forward_fc(l, N);
    backend_.run(LinearForward{.out = rows(branch_),
                               .pre_gelu = {},
                               .inp = rows(a.gelu),
                               .weight = p.fc_proj_weight,
                               .bias = p.fc_proj_bias});

    // The second residual goes on into the next block's first layernorm, or into the final one. A part
    // without a head hands on residual_2 itself, and its layernorm, by any weights, is not read.
    const bool last = l + 1 == config_.n_layer;
    const BlockTensors& next_p = params_.h[static_cast<std::size_t>(last ? l : l + 1)];
    BlockActivations& next_a = block(last ? l : l + 1);
    const Tensor &final_weight = ends.head ? params_.ln_f_weight : p.ln_2_weight,
                 &final_bias = ends.head ? params_.ln_f_bias : p.ln_2_bias;
    backend_.run(ResidualLayerNormForward{.out = rows(last ? ln_f_ : next_a.ln_1),
                                          .residual = rows(a.residual_2),
                                          .mean = rows(last ? mean_f_ : next_a.mean_1),
                                          .rstd = rows(last ? rstd_f_ : next_a.rstd_1),
                                          .inp = rows(a.residual_1),
                                          .branch = rows(branch_),
                                          .weight = last ? final_weight : next_p.ln_1_weight,
                                          .bias = last ? final_bias : next_p.ln_1_bias,
                                          .dropout = at_site(dropout, mlp_site(l))});
  }
}

// What backward needs of a block and forward did not keep, by the same operations and so to the same bits.
// The last block's is still there.
void Gpt::recompute(std::int64_t layer, std::int64_t B, std::int64_t T, const Dropout& dropout) {
  if (recompute_ == Recompute::none || layer + 1 == config_.n_layer) return;
  if (recompute_ == Recompute::block) {
    forward_ln_1(layer, B * T);
    forward_attention(layer, B, T, dropout);
  }
  forward_fc(layer, B * T);
}

Tensor Gpt::through_dropout(Tensor dout, const Dropout& dropout) {
  if (dropout.p == 0) return dout;
  const Tensor dinp = dbranch_.rows(0, dout.dim(0));
  backend_.run(DropoutBackward{.dinp = dinp, .dout = dout, .dropout = dropout});
  return dinp;
}

// REQUIRES: dnorm_ holds the gradient of ln_f's output.
void Gpt::backward(std::int64_t B, std::int64_t T, const Dropout& dropout) {
  const std::int64_t N = B * T, C = config_.n_embd, NH = config_.n_head, HS = config_.head_size();
  const auto rows = [N](Tensor t) { return t.rows(0, N); };
  // dwide_ serves the MLP's (N, 4C) and then attention's (N, 3C) in turn.
  const Tensor dfc = rows(dwide_), dqkv = Tensor(dwide_.data, dtype_, {N, 3 * C});
  const Tensor dresidual = rows(dresidual_), dnorm = rows(dnorm_);

  backend_.zero(dresidual.data, dresidual.bytes());
  backend_.run(LayerNormBackward{.dinp = dresidual,
                                 .dweight = grads_.ln_f_weight,
                                 .dbias = grads_.ln_f_bias,
                                 .dout = dnorm,
                                 .inp = rows(block(config_.n_layer - 1).residual_2),
                                 .mean = rows(mean_f_),
                                 .rstd = rows(rstd_f_),
                                 .weight = params_.ln_f_weight});
  for (std::int64_t l = config_.n_layer - 1; l >= 0; --l) {
    const BlockTensors& p = params_.h[static_cast<std::size_t>(l)];
    const BlockTensors& g = grads_.h[static_cast<std::size_t>(l)];
    BlockActivations& a = block(l);
    recompute(l, B, T, dropout);

    Tensor dbranch = through_dropout(dresidual, at_site(dropout, mlp_site(l)));
    backend_.run(LinearBackwardWeight{
        .dweight = g.fc_proj_weight, .dbias = g.fc_proj_bias, .dout = dbranch, .inp = rows(a.gelu)});
    backend_.run(LinearBackwardInput{
        .dinp = dfc, .dout = dbranch, .weight = p.fc_proj_weight, .pre_gelu = rows(a.pre_gelu)});
    backend_.run(
        LinearBackwardWeight{.dweight = g.fc_weight, .dbias = g.fc_bias, .dout = dfc, .inp = rows(a.ln_2)});
    backend_.run(LinearBackwardInput{.dinp = dnorm, .dout = dfc, .weight = p.fc_weight, .pre_gelu = {}});
    backend_.run(LayerNormBackward{.dinp = dresidual,
                                   .dweight = g.ln_2_weight,
                                   .dbias = g.ln_2_bias,
                                   .dout = dnorm,
                                   .inp = rows(a.residual_1),
                                   .mean = rows(a.mean_2),
                                   .rstd = rows(a.rstd_2),
                                   .weight = p.ln_2_weight});

    dbranch = through_dropout(dresidual, at_site(dropout, attention_site(l)));
    backend_.run(LinearBackwardWeight{
        .dweight = g.proj_weight, .dbias = g.proj_bias, .dout = dbranch, .inp = rows(a.attention)});
    backend_.run(
        LinearBackwardInput{.dinp = dnorm, .dout = dbranch, .weight = p.proj_weight, .pre_gelu = {}});
    backend_.run(AttentionBackward{.dqkv = dqkv.reshaped({B, T, 3, NH, HS}),
                                   .dout = dnorm.reshaped({B, T, NH, HS}),
                                   .out = rows(a.attention).reshaped({B, T, NH, HS}),
                                   .lse = rows(a.lse).reshaped({B, NH, T}),
                                   .qkv = rows(a.qkv).reshaped({B, T, 3, NH, HS})});
    backend_.run(LinearBackwardWeight{
        .dweight = g.attn_weight, .dbias = g.attn_bias, .dout = dqkv, .inp = rows(a.ln_1)});
    backend_.run(LinearBackwardInput{.dinp = dnorm, .dout = dqkv, .weight = p.attn_weight, .pre_gelu = {}});
    backend_.run(LayerNormBackward{.dinp = dresidual,
                                   .dweight = g.ln_1_weight,
                                   .dbias = g.ln_1_bias,
                                   .dout = dnorm,
                                   .inp = block_input(l, N),
                                   .mean = rows(a.mean_1),
                                   .rstd = rows(a.rstd_1),
                                   .weight = p.ln_1_weight});
  }
  backend_.run(EmbeddingBackward{.dwte = grads_.wte,
                                 .dwpe = grads_.wpe,
                                 .dout = dresidual.reshaped({B, T, C}),
                                 .inputs = inputs(B, T),
                                 .dropout = at_site(dropout, kEmbeddingSite)});
}

void Gpt::forward_backward(std::int64_t B, std::int64_t T, double scale, const Dropout& dropout) {
  forward(B, T, dropout);
  backend_.run(HeadLoss{.losses = losses(B, T),
                        .ranks = {},
                        .dinp = dnorm_.rows(0, B * T),
                        .dweight = grads_.wte,
                        .inp = ln_f_.rows(0, B * T),
                        .weight = params_.wte,
                        .targets = targets_.rows(0, B * T),
                        .scale = scale});
  backward(B, T, dropout);
}

void Gpt::evaluate(std::int64_t B, std::int64_t T) {
  forward(B, T, Dropout{});
  backend_.run(HeadLoss{.losses = losses(B, T),
                        .ranks = ranks(B, T),
                        .dinp = {},
                        .dweight = {},
                        .inp = ln_f_.rows(0, B * T),
                        .weight = params_.wte,
                        .targets = targets_.rows(0, B * T)});
}

Tensor Gpt::last_logits(std::int64_t B, std::int64_t T) {
  if (!table_.ends().head) throw ConfigError("Gpt::last_logits: a part without a head has no logits");
  forward(B, T, Dropout{});
  const std::int64_t row_bytes = config_.n_embd * dtype_bytes(dtype_);
  Tensor last = last_rows_.rows(0, B);
  for (std::int64_t b = 0; b < B; ++b) {
    backend_.copy(last.rows(b, 1).data, ln_f_.rows(b * T + T - 1, 1).data, row_bytes);
  }
  const Tensor logits = logits_.rows(0, B);
  backend_.run(LinearForward{.out = logits, .pre_gelu = {}, .inp = last, .weight = params_.wte, .bias = {}});
  return logits;
}

Tensor Gpt::stream_out(std::int64_t B, std::int64_t T) {
  forward(B, T, Dropout{});
  return block(config_.n_layer - 1).residual_2.rows(0, B * T);
}

}  // namespace zhgpt
