// Configuration from everywhere a user may write it, the later winning over the earlier:
// defaults < --preset < --config FILE.toml < ZHGPT_* environment < flags.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "zhgpt/config.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {

class ConfigOptions {
 public:
  // Adds a flag for each field that a user may set for a new run, and --preset and --config.
  void add_all(CLI::App& app);
  // Adds the flags of those fields that may change when a run goes on.
  void add_resumable(CLI::App& app);

  // Throws ConfigError naming where the value came from.
  Config resolve() const;
  // The same over a checkpoint's configuration. `changes` receives "name: old -> new" lines.
  Config resolve_over(const Config& saved, std::vector<std::string>* changes) const;

 private:
  void add_flag(CLI::App& app, const ConfigField& field);
  void apply(Config& config) const;
  std::vector<const ConfigField*> fields_;  // those that have a flag
  std::map<std::string, std::string> flags_;  // as they were given
  std::optional<std::string> preset_, config_file_;  // an empty name is a mistake, not an absence
};

bool is_resumable_field(const ConfigField& field);

// Numbers that are no configuration. They are read and refused as all others here, in the user's language;
// CLI11 would do it in English. The value holds the default; both throw ConfigError from within the parsing.
CLI::Option* add_integer(CLI::App& app, const std::string& names, std::int64_t& value, std::int64_t lowest,
                         std::int64_t highest, Msg help);
CLI::Option* add_real(CLI::App& app, const std::string& names, double& value, Msg help);

}  // namespace zhgpt::cli
