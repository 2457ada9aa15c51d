#include "cli/roofline.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/console.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Sum {
  std::string operation;
  std::int64_t kernels = 0;
  double flops = 0, bytes = 0, bound_s = 0;

  void add(const OperationCost& launch, const Card& card) {
    ++kernels;
    flops += launch.flops;
    bytes += launch.bytes;
    bound_s += card.roofline_s(launch);
  }
};

// One for each operation, in the order in which they first come, and at last one for all.
std::vector<Sum> sums_of(const RunPlan& plan, const Card& card) {
  std::vector<Sum> sums;
  Sum all{.operation = tr(Msg::plan_in_all)};
  for (const OperationCost& launch : plan.launches) {
    auto found = std::find_if(sums.begin(), sums.end(),
                              [&](const Sum& sum) { return sum.operation == launch.operation; });
    if (found == sums.end()) found = sums.insert(found, {.operation = launch.operation});
    found->add(launch, card);
    all.add(launch, card);
  }
  sums.push_back(all);
  return sums;
}

Json to_json(const Sum& sum) {
  return {{"operation", sum.operation},
          {"kernels", sum.kernels},
          {"flops", sum.flops},
          {"bytes", sum.bytes},
          {"bound_s", sum.bound_s}};
}

}  // namespace

const Card& known_card(const char* option, const std::string& name) {
  std::string names;
  for (const Card& card : cards()) names += (names.empty() ? "" : "|") + std::string(card.name);
  const Card* card = find_card(name);
  if (!card) throw ConfigError(tr(Msg::not_a_choice, option, name, names));
  return *card;
}

const char* precision_of(const RunPlan& plan, const Config& config) {
  if (plan.dtype == DType::bf16) return "bf16";
  return !plan.launches.empty() && config.train.dtype == "tf32" ? "tf32" : "fp32";
}

void print_plan_row(const std::string& name, const std::vector<std::string>& cells) {
  constexpr int kFirst = 26, kOthers = 16;
  std::cout << "  " << name << padding(name, kFirst);
  for (const std::string& cell : cells) std::cout << padding(cell, kOthers) << cell;
  std::cout << "\n";
}

void print_roofline(const RunPlan& plan, const Config& config, const Card& card) {
  const std::vector<Sum> sums = sums_of(plan, card);
  std::cout << tr(Msg::plan_step, std::string(card.name) + " (" + precision_of(plan, config) + ")") << "\n";
  print_plan_row("", {tr(Msg::plan_kernels), "GFLOP", "MB", "us"});
  for (const Sum& sum : sums) {
    print_plan_row(sum.operation, {to_text(sum.kernels), fixed(sum.flops / 1e9, 3), fixed(sum.bytes / 1e6, 2),
                                   fixed(sum.bound_s * 1e6, 2)});
  }
  std::cout << tr(Msg::plan_speed,
                  short_number(static_cast<double>(plan.tokens_per_step) / sums.back().bound_s))
            << "\n";
}

Json roofline_json(const RunPlan& plan, const Card& card) {
  std::vector<Sum> sums = sums_of(plan, card);
  Json step = to_json(sums.back());
  step.erase("operation");
  step["tokens_per_s"] = static_cast<double>(plan.tokens_per_step) / sums.back().bound_s;
  sums.pop_back();
  for (const Sum& sum : sums) step["operations"].push_back(to_json(sum));
  return step;
}

}  // namespace zhgpt::cli
