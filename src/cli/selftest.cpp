// zhgpt selftest: a table of every operation on this device, its error beside its bound, its speed beside the
// roofline.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/console.h"
#include "cli/program.h"
#include "cli/table.h"
#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/selftest.h"

namespace zhgpt::cli {
namespace {

using Json = nlohmann::ordered_json;

struct SelftestArguments {
  std::string device = "auto", dtype;
  bool quick = false, json = false;
};

constexpr int kColumns[] = {54, 5, 8, 8, 10, 8, 8, 8, 0};

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", value);
  return text;
}

std::string padding(std::size_t columns, const std::string& text) {
  return std::string(static_cast<std::size_t>(std::max(0, kColumns[columns] - display_width(text))), ' ');
}

// The operation to the left, the numbers to the right.
void print_row(const std::vector<std::string>& cells) {
  std::string row;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    row += i < 1 ? cells[i] + padding(i, cells[i]) + " " : " " + padding(i, cells[i]) + cells[i];
  }
  std::cout << row << std::endl;  // at once: a later operation may end the program
}

double per_second(double amount, const Measured& measured) {
  return measured.ms == 0 ? 0 : amount / (measured.ms * 1e-3);
}

void print_line(const SelftestLine& line, const std::string& dtype) {
  const Measured& m = line.measured;
  const auto known = [](double value, const std::string& text) { return value == 0 ? "" : text; };
  print_row({line.name + (line.shape.empty() ? "" : ": " + line.shape), dtype, scientific(line.error),
             scientific(line.bound), known(m.ms, fixed(1e3 * m.ms, 1)),
             known(m.bytes * m.ms, fixed(per_second(m.bytes, m) * 1e-9, 0)),
             known(m.flops * m.ms, fixed(per_second(m.flops, m) * 1e-12, 1)),
             known(line.share, fixed(100 * line.share, 0) + "%"),
             line.ok ? "ok" : tr(Msg::selftest_wrong) + " " + line.output});
}

Json to_json(const SelftestLine& line, const std::string& dtype) {
  const Measured& m = line.measured;
  return {{"name", line.name},
          {"shape", line.shape},
          {"dtype", dtype},
          {"output", line.output},
          {"error", line.error},
          {"bound", line.bound},
          {"ok", line.ok},
          {"us", 1e3 * m.ms},
          {"flops", m.flops},
          {"bytes", m.bytes},
          {"launches", m.launches},
          {"gb_per_s", per_second(m.bytes, m) * 1e-9},
          {"tflop_per_s", per_second(m.flops, m) * 1e-12},
          {"share", line.share}};
}

Precision precision_of(const std::string& dtype) {
  if (dtype == "fp32") return {};
  if (dtype == "tf32") return {.tf32 = true};
  if (dtype == "bf16") return {.dtype = DType::bf16};
  throw ConfigError(tr(Msg::not_a_choice, "dtype", dtype, "fp32|tf32|bf16"));
}

int selftest(const SelftestArguments& arguments) {
  std::vector<std::string> dtypes{"fp32", "bf16"};
  if (!arguments.dtype.empty()) dtypes = {arguments.dtype};
  Json out{{"program", ZHGPT_VERSION}, {"ceilings", Json::object()}, {"lines", Json::array()}};
  std::string wrong;
  int lines = 0, wrong_lines = 0;
  for (const std::string& dtype : dtypes) {
    const Precision precision = precision_of(dtype);
    const auto device = make_backend(arguments.device, 0, {.tf32 = precision.tf32});
    out["device"] = device->name();
    if (!device->computes_in(precision.dtype)) {
      if (arguments.dtype.empty()) continue;
      throw ConfigError(tr(Msg::no_bf16_here, device->name()));
    }
    const Ceilings ceilings = arguments.quick ? Ceilings{} : measure_ceilings(*device, precision);
    out["ceilings"][dtype] = {{"gb_per_s", ceilings.bytes_per_s * 1e-9},
                              {"tflop_per_s", ceilings.flops_per_s * 1e-12}};
    if (ceilings.bytes_per_s > 0) {
      std::cerr << tr(Msg::selftest_ceilings, device->name(), dtype, fixed(ceilings.bytes_per_s * 1e-9, 0),
                      fixed(ceilings.flops_per_s * 1e-12, 1))
                << "\n";
    }
    if (!arguments.json && lines == 0) print_row(cells_of(tr(Msg::selftest_header)));
    const auto report = [&](const SelftestLine& line) {
      ++lines;
      if (!line.ok) {
        ++wrong_lines;
        wrong += (wrong.empty() ? "" : ", ") + line.name + " " + dtype;
      }
      out["lines"].push_back(to_json(line, dtype));
      if (!arguments.json) print_line(line, dtype);
      throw_if_interrupted();
    };
    check_operations(*device, precision, arguments.quick, ceilings, report);
    check_training(*device, precision, report);
  }
  out["wrong"] = wrong_lines;
  if (arguments.json) std::cout << out.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  if (wrong_lines > 0) {
    std::cerr << tr(Msg::error_prefix) << tr(Msg::selftest_some_wrong, wrong_lines, lines, wrong) << "\n";
    return static_cast<int>(ExitCode::other);
  }
  std::cerr << tr(Msg::selftest_all_right, lines) << "\n";
  return 0;
}

}  // namespace

void add_selftest(CLI::App& app, Action& action) {
  auto a = std::make_shared<SelftestArguments>();
  CLI::App* verb = app.add_subcommand("selftest", tr(Msg::help_selftest));
  const std::string general = tr(Msg::group_general);
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(general);
  verb->add_option("--dtype", a->dtype, tr(Msg::help_selftest_dtype))->type_name("TEXT")->group(general);
  verb->add_flag("--quick", a->quick, tr(Msg::help_selftest_quick))->group(general);
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(general);
  verb->callback([a, &action] { action = [a] { return selftest(*a); }; });
}

}  // namespace zhgpt::cli
