// zhgpt ckpt diff DIR|FILE DIR|FILE [--json]: what differs between two checkpoints.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/ckpt.h"
#include "cli/table.h"
#include "zhgpt/checkpoint_diff.h"
#include "zhgpt/error.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

using Change = TensorDiff::Change;
using Rows = std::vector<std::vector<std::string>>;

struct DiffArguments {
  std::vector<std::string> paths;
  bool json = false;
};

const char* change_name(Change change) {
  switch (change) {
    case Change::none:
      return "none";
    case Change::values:
      return "values";
    case Change::shape:
      return "shape";
    case Change::only_a:
      return "only_a";
    case Change::only_b:
      return "only_b";
  }
  return "";
}

const char* kind_prefix(SectionKind kind) {
  if (kind == SectionKind::adam_m) return "adam_m ";
  return kind == SectionKind::adam_v ? "adam_v " : "";
}

Json to_json(const std::vector<RecordDiff>& records) {
  Json out = Json::object();
  for (const RecordDiff& r : records) out[r.key] = {r.a, r.b};
  return out;
}

Json to_json(const CheckpointDiff& diff) {
  Json tensors = Json::array();
  for (const TensorDiff& t : diff.tensors) {
    tensors.push_back({{"kind", static_cast<int>(t.kind)},
                       {"name", t.name},
                       {"a", t.a},
                       {"b", t.b},
                       {"change", change_name(t.change)},
                       {"max_abs", t.max_abs},
                       {"relative", std::isfinite(t.relative) ? Json(t.relative) : Json(nullptr)}});
  }
  return {{"equal", diff.equal()},
          {"step", {diff.step_a, diff.step_b}},
          {"same_run", diff.same_run},
          {"same_history", diff.same_history},
          {"config", to_json(diff.config)},
          {"progress", to_json(diff.progress)},
          {"vocab", {{"added", diff.added}, {"removed", diff.removed}, {"moved", diff.moved}}},
          {"tensors", tensors}};
}

void print_records(Msg title, const std::vector<RecordDiff>& records) {
  if (records.empty()) return;
  Rows rows;
  for (const RecordDiff& r : records) {
    rows.push_back({"", r.key, r.a.empty() ? "–" : r.a, "->", r.b.empty() ? "–" : r.b});
  }
  std::cout << tr(title) << "\n" << table(rows, "lllll");
}

void print_vocabulary(const CheckpointDiff& diff) {
  if (diff.added.empty() && diff.removed.empty() && diff.moved.empty()) return;
  std::cout << tr(Msg::diff_section_vocab) << "\n";
  const auto line = [](Msg message, const std::vector<std::int32_t>& some) {
    if (!some.empty()) std::cout << "  " << tr(message, some.size(), characters_text(some)) << "\n";
  };
  line(Msg::diff_added, diff.added);
  line(Msg::diff_removed, diff.removed);
  line(Msg::diff_moved, diff.moved);
}

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3e", value);
  return text;
}

std::vector<std::string> row_of(const TensorDiff& t) {
  const std::string name = kind_prefix(t.kind) + t.name;
  const std::string what = t.a == t.b || t.b.empty() ? t.a : t.a.empty() ? t.b : t.a + " -> " + t.b;
  switch (t.change) {
    case Change::shape:
      return {"", name, what, tr(Msg::diff_shape)};
    case Change::only_a:
      return {"", name, what, tr(Msg::diff_only_a)};
    case Change::only_b:
      return {"", name, what, tr(Msg::diff_only_b)};
    default:
      return {"", name, what, scientific(t.max_abs), scientific(t.relative)};
  }
}

void print_tensors(const std::vector<TensorDiff>& tensors) {
  Rows rows{
      {"", tr(Msg::column_name), tr(Msg::column_shape), tr(Msg::column_max_abs), tr(Msg::column_relative)}};
  for (const TensorDiff& t : tensors) {
    if (t.change != Change::none) rows.push_back(row_of(t));
  }
  std::cout << tr(Msg::diff_section_tensors) << "\n";
  if (rows.size() > 1) std::cout << table(rows, "lllrr");
  std::cout << "  " << tr(Msg::diff_tensors_same, tensors.size() + 1 - rows.size(), tensors.size()) << "\n";
}

int diff(const DiffArguments& arguments) {
  if (arguments.paths.size() != 2) throw ConfigError(tr(Msg::diff_needs_two));
  const Checkpoint a = open_run_checkpoint(arguments.paths[0], "last"),
                   b = open_run_checkpoint(arguments.paths[1], "last");
  const CheckpointDiff found = compare_checkpoints(a, b);
  if (arguments.json) {
    print(to_json(found));
  } else if (found.equal()) {
    std::cout << tr(Msg::diff_equal) << "\n";
  } else {
    if (!found.same_run) std::cout << tr(Msg::diff_run) << "\n";
    print_records(Msg::diff_section_config, found.config);
    print_records(Msg::diff_section_progress, found.progress);
    print_vocabulary(found);
    if (!found.same_history) std::cout << tr(Msg::diff_history) << "\n";
    print_tensors(found.tensors);
  }
  return found.equal() ? 0 : 1;
}

}  // namespace

void add_ckpt_diff(CLI::App& ckpt, Action& action) {
  auto a = std::make_shared<DiffArguments>();
  CLI::App* verb = ckpt.add_subcommand("diff", tr(Msg::help_ckpt_diff));
  verb->add_option("DIR|FILE", a->paths, tr(Msg::help_ckpt_two_files))->type_name("");
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return diff(*a); }; });
}

}  // namespace zhgpt::cli
