#include "cli/options.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include <toml++/toml.h>

#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"

namespace zhgpt::cli {
namespace {

using namespace std::string_view_literals;

// The corpus is named by the command line, and its vocabulary sets vocab_size: neither has a flag.
bool has_flag(const ConfigField& field) { return field.name != "corpus"sv && field.name != "vocab_size"sv; }

std::string flag_name(const ConfigField& field) {
  std::string name = "--" + std::string(field.name);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string environment_name(const ConfigField& field) {
  std::string name = "ZHGPT_" + std::string(field.name);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

std::string value_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  std::ostringstream out;
  out << std::boolalpha;  // true is no number
  if (node.is_integer() || node.is_floating_point() || node.is_boolean()) node.visit([&](const auto& value) {
      if constexpr (toml::is_value<decltype(value)>) out << value.get();
    });
  return out.str();
}

void apply_toml(Config& config, const std::string& path) {
  const std::string text = read_text_file(path);
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw ConfigError(tr(Msg::bad_toml, path, error.source().begin.line, error.description()));
  }
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (name == "vocab_size") continue;  // a run's own config.toml may be used again
    try {
      if (node.is_table() || node.is_array()) throw ConfigError(tr(Msg::toml_not_a_value, name));
      if (const auto* real = node.as_floating_point()) {
        config.set(name, to_text(real->get()));
      } else {
        config.set(name, value_text(node));
      }
    } catch (const ConfigError& error) {
      throw ConfigError(path + ":" + std::to_string(node.source().begin.line) + ": " + error.what());
    }
  }
}

std::string field_text(const ConfigField& field, Config config) {
  return std::visit(
      [](auto* value) -> std::string { return to_text(*value); }, field.ref(config));
}

std::string first_long_name(const std::string& names) {  // "-n,--max-chars" -> "--max-chars"
  const std::size_t begin = names.find("--");
  return names.substr(begin, names.find(',', begin) - begin);
}

}  // namespace

bool is_resumable_field(const ConfigField& field) {
  // These shape the order of the data or the stream of random numbers; with others the run would be another run.
  return field.group == FieldGroup::train && field.name != "batch_size"sv &&
         field.name != "gradient_accumulation_steps"sv && field.name != "seed"sv;
}

void ConfigOptions::add_flag(CLI::App& app, const ConfigField& field) {
  fields_.push_back(&field);
  const auto store = [this, name = field.name](const std::string& text) { flags_[name] = text; };
  CLI::Option* option = app.add_option_function<std::string>(flag_name(field), store, tr(field.help));
  const Config defaults;
  Config copy = defaults;
  constexpr const char* kTypeNames[] = {"N", "X", "TEXT", "true|false"};  // as in ConfigField::Ref
  option->type_name(kTypeNames[field.ref(copy).index()]);
  const std::string value = field_text(field, defaults);
  if (!value.empty()) option->default_str(value);
  const Msg groups[] = {Msg::group_model, Msg::group_text, Msg::group_train};
  option->group(tr(groups[static_cast<int>(field.group)]));
}

void ConfigOptions::add_all(CLI::App& app) {
  app.add_option("--preset", preset_, tr(Msg::help_preset))->type_name("NAME")->group(tr(Msg::group_model));
  app.add_option("--config", config_file_, tr(Msg::help_config))->type_name("FILE.toml")->group(tr(Msg::group_general));
  for (const ConfigField& field : config_fields()) {
    if (has_flag(field)) add_flag(app, field);
  }
}

void ConfigOptions::add_resumable(CLI::App& app) {
  for (const ConfigField& field : config_fields()) {
    if (is_resumable_field(field)) add_flag(app, field);
  }
}

void ConfigOptions::apply(Config& config) const {
  if (preset_) config.apply_preset(*preset_);
  if (config_file_) apply_toml(config, *config_file_);
  for (const ConfigField* field : fields_) {
    const std::string name = environment_name(*field);
    const char* value = std::getenv(name.c_str());
    if (!value) continue;
    try {
      config.set(field->name, value);
    } catch (const ConfigError& error) {
      throw ConfigError(name + ": " + error.what());
    }
  }
  for (const auto& [name, text] : flags_) config.set(name, text);
}

Config ConfigOptions::resolve() const {
  Config config;
  apply(config);
  config.validate();
  return config;
}

Config ConfigOptions::resolve_over(const Config& saved, std::vector<std::string>* changes) const {
  Config config = saved;
  apply(config);
  config.validate();
  for (const ConfigField& field : config_fields()) {
    const std::string before = field_text(field, saved), after = field_text(field, config);
    if (before != after) changes->push_back(std::string(field.name) + ": " + before + " -> " + after);
  }
  return config;
}

CLI::Option* add_integer(CLI::App& app, const std::string& names, std::int64_t& value, std::int64_t lowest,
                         std::int64_t highest, Msg help) {
  const auto store = [name = first_long_name(names), lowest, highest, &value](const std::string& text) {
    value = parse_integer(text, name);
    if (value < lowest || value > highest)
      throw ConfigError(tr(Msg::out_of_range, name, value, lowest, highest));
  };
  return app.add_option_function<std::string>(names, store, tr(help))
      ->type_name("N")
      ->default_str(to_text(value));
}

CLI::Option* add_real(CLI::App& app, const std::string& names, double& value, Msg help) {
  const auto store = [name = first_long_name(names), &value](const std::string& text) {
    value = parse_real(text, name);
  };
  return app.add_option_function<std::string>(names, store, tr(help))
      ->type_name("X")
      ->default_str(to_text(value));
}

}  // namespace zhgpt::cli
