#include "zhgpt/config.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "zhgpt/error.h"

namespace zhgpt {
namespace {

std::string as_name(std::string_view flag) {  // n-layer and n_layer are one name
  std::string name(flag);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

double parse_duration(std::string_view text, std::string_view what) {
  double unit = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 's':
        unit = 1;
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3600;
        break;
      default:
        return parse_real(text, what);
    }
    text.remove_suffix(1);
  }
  return parse_real(text, what) * unit;
}

bool is_choice(std::string_view choices, std::string_view value) {
  while (true) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

void set_field(const ConfigField& field, Config& config, std::string_view text) {
  const auto check_range = [&](double value) {
    if (!(value >= field.lowest && value <= field.highest)) {
      throw ConfigError(tr(Msg::out_of_range, field.name, text, field.lowest, field.highest));
    }
  };
  std::visit(Overloaded{
                 [&](std::int64_t* to) {
                   const std::int64_t value = parse_integer(text, field.name);
                   check_range(static_cast<double>(value));
                   *to = value;
                 },
                 [&](double* to) {
                   const double value =
                       field.is_duration ? parse_duration(text, field.name) : parse_real(text, field.name);
                   check_range(value);
                   *to = value;
                 },
                 [&](std::string* to) {
                   if (field.choices && !is_choice(field.choices, text)) {
                     throw ConfigError(tr(Msg::not_a_choice, field.name, text, field.choices));
                   }
                   *to = std::string(text);
                 },
                 [&](bool* to) {
                   if (!is_choice("true|false", text)) {
                     throw ConfigError(tr(Msg::not_a_choice, field.name, text, "true|false"));
                   }
                   *to = text == "true";
                 },
             },
             field.ref(config));
}

struct Preset {
  const char* name;
  std::int64_t n_layer, n_head, n_embd, block_size;
};
constexpr Preset kPresets[] = {{"micro", 4, 4, 128, 64},
                               {"tiny", 6, 6, 384, 256},
                               {"small", 8, 8, 512, 512},
                               {"gpt2", 12, 12, 768, 1024}};

}  // namespace

void ModelConfig::validate() const {
  if (n_embd % n_head != 0) throw ConfigError(tr(Msg::heads_do_not_divide, n_embd, n_head));
  if (vocab_size < 2) throw ConfigError(tr(Msg::vocab_too_small, vocab_size));
}

SavePolicy parse_save_policy(std::string_view text) {
  const auto refuse = [&] {
    throw ConfigError(tr(Msg::not_a_choice, "save_policy", text, "last|best|every:N|best+last|best+every:N"));
  };
  SavePolicy policy;
  for (std::string_view rest = text;;) {
    const std::size_t plus = std::min(rest.find('+'), rest.size());
    const std::string_view part = rest.substr(0, plus);
    if (part == "last") {
      policy.last = true;
    } else if (part == "best") {
      policy.best = true;
    } else if (part.starts_with("every:")) {
      policy.every = parse_integer(part.substr(6), "save_policy every:N");
      if (policy.every < 0) refuse();
    } else {
      refuse();
    }
    if (plus == rest.size()) return policy;
    rest.remove_prefix(plus + 1);
  }
}

void Config::set(std::string_view name, std::string_view value) {
  const std::string wanted = as_name(name);
  std::vector<std::string> known;
  for (const ConfigField& field : config_fields()) {
    if (field.name == wanted) return set_field(field, *this, value);
    known.push_back(field.name);
  }
  const std::string nearest = nearest_name(wanted, known);
  throw ConfigError(nearest.empty() ? tr(Msg::unknown_field, name)
                                    : tr(Msg::unknown_field_hint, name, nearest));
}

void Config::apply_preset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (name != preset.name) continue;
    model.n_layer = preset.n_layer;
    model.n_head = preset.n_head;
    model.n_embd = preset.n_embd;
    model.block_size = preset.block_size;
    return;
  }
  throw ConfigError(tr(Msg::not_a_choice, "preset", name, "micro|tiny|small|gpt2"));
}

void Config::validate() const {
  if (model.n_embd % model.n_head != 0)
    throw ConfigError(tr(Msg::heads_do_not_divide, model.n_embd, model.n_head));
  if (train.min_lr > train.learning_rate)
    throw ConfigError(tr(Msg::min_lr_above_lr, train.min_lr, train.learning_rate));
  parse_save_policy(train.save_policy);
}

KeyValues Config::to_key_values() const {
  KeyValues record;
  Config copy = *this;  // the table hands out references to a mutable Config
  for (const ConfigField& field : config_fields()) {
    std::visit(Overloaded{[&](std::int64_t* value) { record.set_integer(field.name, *value); },
                          [&](double* value) { record.set_real(field.name, *value); },
                          [&](std::string* value) { record.set_quoted(field.name, *value); },
                          [&](bool* value) { record.set(field.name, to_text(*value)); }},
               field.ref(copy));
  }
  return record;
}

Config Config::from_key_values(const KeyValues& record) {
  Config config;
  for (const auto& [key, value] : record.entries()) {
    config.set(key, value.starts_with('"') ? toml_unquote(value) : value);
  }
  for (const ConfigField& field : config_fields()) {
    if (!field.added_later) record.get(field.name);  // throws when it is missing
  }
  config.validate();
  return config;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;  // farther than this is no hint
  for (const std::string& candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);  // Levenshtein, one row at a time
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < name.size(); ++i) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t substituted = diagonal + (name[i] != candidate[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace zhgpt
