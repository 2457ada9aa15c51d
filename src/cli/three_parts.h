// BOTTOM TRUNK TOP: the arguments of the verbs that take a split model.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "zhgpt/split.h"

namespace zhgpt::cli {

void add_three_parts(CLI::App& verb, std::vector<std::string>& paths);
// Throws ConfigError unless there are three.
SplitParts open_three_parts(const std::vector<std::string>& paths, const char* verb);

}  // namespace zhgpt::cli
