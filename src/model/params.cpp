#include "zhgpt/params.h"

#include <cmath>
#include <numbers>

#include "zhgpt/error.h"
#include "zhgpt/rng.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kAlignment = 64;  // elements: 256 bytes in f32, 128 in bf16

std::string in_block(std::int64_t layer, const char* name) {
  return "h." + std::to_string(layer) + "." + name;
}

// Four normal numbers from one Philox block: G. Box, M. Muller, 1958.
std::array<double, 4> normal_block(std::uint64_t seed, std::uint32_t tensor, std::uint64_t index) {
  const PhiloxBlock bits = random_block(seed, RandomStream::init, 0, tensor, index);
  std::array<double, 4> out{};
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const double u = (static_cast<double>(bits[pair]) + 0.5) * 0x1p-32;  // never 0
    const double angle = static_cast<double>(bits[pair + 1]) * 0x1p-32 * 2 * std::numbers::pi;
    const double radius = std::sqrt(-2 * std::log(u));
    out[pair] = radius * std::cos(angle);
    out[pair + 1] = radius * std::sin(angle);
  }
  return out;
}

}  // namespace

ParameterTable::ParameterTable(const ModelConfig& config, NetworkEnds ends) : ends_(ends) {
  const std::int64_t C = config.n_embd;
  const double residual_std = 0.02 / std::sqrt(2.0 * static_cast<double>(config.n_layer));
  if (ends.embedding || ends.head) add("wte.weight", {config.vocab_size, C}, 0.02);
  if (ends.embedding) add("wpe.weight", {config.block_size, C}, 0.02);
  for (std::int64_t l = 0; l < config.n_layer; ++l) {
    add(in_block(l, "attn.c_attn.weight"), {3 * C, C}, 0.02);
    add(in_block(l, "attn.c_proj.weight"), {C, C}, residual_std);
    add(in_block(l, "mlp.c_fc.weight"), {4 * C, C}, 0.02);
    add(in_block(l, "mlp.c_proj.weight"), {C, 4 * C}, residual_std);
  }
  n_decay_ = flat_size_;
  for (std::int64_t l = 0; l < config.n_layer; ++l) {
    add(in_block(l, "ln_1.weight"), {C}, 0, 1);
    add(in_block(l, "ln_1.bias"), {C}, 0);
    add(in_block(l, "attn.c_attn.bias"), {3 * C}, 0);
    add(in_block(l, "attn.c_proj.bias"), {C}, 0);
    add(in_block(l, "ln_2.weight"), {C}, 0, 1);
    add(in_block(l, "ln_2.bias"), {C}, 0);
    add(in_block(l, "mlp.c_fc.bias"), {4 * C}, 0);
    add(in_block(l, "mlp.c_proj.bias"), {C}, 0);
  }
  if (!ends.head) return;
  add("ln_f.weight", {C}, 0, 1);
  add("ln_f.bias", {C}, 0);
}

void ParameterTable::add(std::string name, std::vector<std::int64_t> shape, double init_std,
                         double init_value) {
  ParameterSpec spec{
      .name = std::move(name), .shape = std::move(shape), .init_std = init_std, .init_value = init_value};
  spec.weight_decay = spec.shape.size() > 1;
  spec.offset = flat_size_;
  spec.numel = 1;
  for (std::int64_t size : spec.shape) spec.numel *= size;
  flat_size_ += (spec.numel + kAlignment - 1) / kAlignment * kAlignment;
  specs_.push_back(std::move(spec));
}

const ParameterSpec& ParameterTable::find(const std::string& name) const {
  for (const ParameterSpec& spec : specs_) {
    if (spec.name == name) return spec;
  }
  throw ConfigError("ParameterTable: no parameter \"" + name + "\"");
}

std::int64_t ParameterTable::count() const {
  std::int64_t total = 0;
  for (const ParameterSpec& spec : specs_) total += spec.numel;
  return total;
}

std::vector<float> ParameterTable::initial_values(std::uint64_t seed) const {
  std::vector<float> flat(static_cast<std::size_t>(flat_size_), 0.0f);
  for (std::size_t t = 0; t < specs_.size(); ++t) {
    const ParameterSpec& spec = specs_[t];
    float* to = flat.data() + spec.offset;
    for (std::int64_t i = 0; i < spec.numel; i += 4) {
      std::array<double, 4> z{};
      if (spec.init_std > 0)
        z = normal_block(seed, static_cast<std::uint32_t>(t), static_cast<std::uint64_t>(i / 4));
      for (std::int64_t k = 0; k < 4 && i + k < spec.numel; ++k) {
        to[i + k] = static_cast<float>(spec.init_value + spec.init_std * z[static_cast<std::size_t>(k)]);
      }
    }
  }
  return flat;
}

Tensor shaped(void* data, DType dtype, const ParameterSpec& spec) {
  return spec.shape.size() == 1 ? Tensor(data, dtype, {spec.shape[0]})
                                : Tensor(data, dtype, {spec.shape[0], spec.shape[1]});
}

GptTensors::GptTensors(const ParameterTable& table, const ModelConfig& config, const Tensor& products,
                       const Tensor& norms)
    : GptTensors(table, config, [&](const ParameterSpec& spec) {
        const Tensor& flat = spec.name.find("ln_") == std::string::npos ? products : norms;
        return shaped(static_cast<char*>(flat.data) + spec.offset * dtype_bytes(flat.dtype), flat.dtype,
                      spec);
      }) {}

GptTensors::GptTensors(const ParameterTable& table, const ModelConfig& config, const Place& place) {
  const auto view = [&](const std::string& name) { return place(table.find(name)); };
  const NetworkEnds ends = table.ends();
  if (ends.embedding || ends.head) wte = view("wte.weight");
  if (ends.embedding) wpe = view("wpe.weight");
  for (std::int64_t l = 0; l < config.n_layer; ++l) {
    const auto in = [&](const char* name) { return view(in_block(l, name)); };
    h.push_back({.ln_1_weight = in("ln_1.weight"),
                 .ln_1_bias = in("ln_1.bias"),
                 .attn_weight = in("attn.c_attn.weight"),
                 .attn_bias = in("attn.c_attn.bias"),
                 .proj_weight = in("attn.c_proj.weight"),
                 .proj_bias = in("attn.c_proj.bias"),
                 .ln_2_weight = in("ln_2.weight"),
                 .ln_2_bias = in("ln_2.bias"),
                 .fc_weight = in("mlp.c_fc.weight"),
                 .fc_bias = in("mlp.c_fc.bias"),
                 .fc_proj_weight = in("mlp.c_proj.weight"),
                 .fc_proj_bias = in("mlp.c_proj.bias")});
  }
  if (!ends.head) return;
  ln_f_weight = view("ln_f.weight");
  ln_f_bias = view("ln_f.bias");
}

}  // namespace zhgpt
