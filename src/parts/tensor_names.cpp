#include "parts/tensor_names.h"

#include <charconv>
#include <optional>

namespace zhgpt {
namespace {

struct LayerName {
  std::int64_t layer;
  std::string rest;  // ".attn.c_attn.weight"
  std::string at(std::int64_t other_layer) const { return "h." + std::to_string(other_layer) + rest; }
};

// "h.3.mlp.c_fc.bias" taken apart; nullopt for a name that is none of a block's.
std::optional<LayerName> parse_layer(const std::string& name) {
  if (!name.starts_with("h.")) return std::nullopt;
  LayerName parsed{};
  const char* const end = name.data() + name.size();
  const auto number = std::from_chars(name.data() + 2, end, parsed.layer);
  if (number.ec != std::errc{} || number.ptr == end || *number.ptr != '.') return std::nullopt;
  parsed.rest.assign(number.ptr, end);
  if (parsed.at(parsed.layer) != name) return std::nullopt;  // a sign or zeros in front would not come back
  return parsed;
}

}  // namespace

std::string name_in_part(const std::string& name, Part part, const LayerRange& layers) {
  const auto in = [&](bool is_there) { return is_there ? name : std::string(); };
  if (name == "wte.weight") return in(part != Part::trunk);  // the embedding, and the head's matrix
  if (name == "wpe.weight") return in(part == Part::bottom);
  if (name == "ln_f.weight" || name == "ln_f.bias") return in(part == Part::top);
  const auto parsed = parse_layer(name);
  if (!parsed || parsed->layer < layers.begin || parsed->layer >= layers.end) return "";
  return parsed->at(parsed->layer - layers.begin);
}

std::string name_in_whole(const std::string& name, const LayerRange& layers) {
  const auto parsed = parse_layer(name);
  return parsed ? parsed->at(parsed->layer + layers.begin) : name;
}

}  // namespace zhgpt
