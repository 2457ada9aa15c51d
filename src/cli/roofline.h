// The launches of a planned step and the least time that a GPU needs for them, for `plan` and `bench`.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "zhgpt/plan.h"

namespace zhgpt::cli {

// The card of that name. Throws ConfigError, naming the option and the cards there are.
const Card& known_card(const char* option, const std::string& name);

// "bf16", "tf32" or "fp32".
const char* precision_of(const RunPlan& plan, const Config& config);

// A name and columns of numbers; the last one ends where the first line's does, whatever the language.
void print_plan_row(const std::string& name, const std::vector<std::string>& cells);

// By operation and in all. REQUIRES: a plan for CUDA.
void print_roofline(const RunPlan& plan, const Config& config, const Card& card);
nlohmann::ordered_json roofline_json(const RunPlan& plan, const Card& card);

}  // namespace zhgpt::cli
