// zhgpt split DIR|FILE --at S1,S2: a model in three parts. The list of them goes to stdout.
#include "zhgpt/split.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/console.h"
#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct SplitArguments {
  std::string from_path, which = "last";
  std::string at, parts = "bottom,trunk,top";
  std::string out, name;
  bool no_metadata = false, overwrite = false;
};

// Where models in parts are kept: --out, else ZHGPT_MODELS, else ./models.
std::string models_directory(const std::string& out) {
  const char* from_environment = std::getenv("ZHGPT_MODELS");
  if (!out.empty()) return out;
  return from_environment && *from_environment ? from_environment : "models";
}

std::vector<Part> parse_parts(const std::string& list) {
  std::vector<Part> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(parse_part(list.substr(begin, end - begin)));
    begin = end + 1;
  }
  return parts;
}

struct Size {
  std::int64_t parameters = 0, bytes = 0;
  void add(const TensorInfo& info) {
    if (info.kind != SectionKind::parameter) return;
    parameters += info.bytes() / dtype_bytes(info.dtype);
    bytes += info.bytes();
  }
};

Size size_of(const Checkpoint& checkpoint) {
  Size size;
  for (const TensorInfo& info : checkpoint.tensors()) size.add(info);
  return size;
}

void print_row(const std::string& part, const std::string& layers, const std::string& parameters,
               const std::string& megabytes, const std::string& file) {
  std::cout << part << padding(part, 8) << padding(layers, 8) << layers << padding(parameters, 14)
            << parameters << padding(megabytes, 12) << megabytes << "  " << file << "\n";
}

std::string in_mb(std::int64_t bytes) {
  return fixed(static_cast<double>(bytes) / 1e6, 3);
}

int split(const SplitArguments& arguments) {
  if (arguments.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "split"));
  if (arguments.at.empty()) throw ConfigError(tr(Msg::split_not_two_points, ""));
  const SplitPoints at = SplitPoints::parse(arguments.at);
  const std::vector<Part> parts = parse_parts(arguments.parts);
  if (!fs::exists(arguments.from_path)) throw IoError(tr(Msg::no_such_path, arguments.from_path));
  const Checkpoint whole = open_run_checkpoint(arguments.from_path, arguments.which);
  const std::string base = models_directory(arguments.out);
  const std::string name = arguments.name.empty() ? fs::path(whole.path()).stem().string() : arguments.name;
  for (Part part : parts) {  // before the first is written
    const std::string path = split_model_path(base, name, part, at);
    if (!arguments.overwrite && fs::exists(path)) throw IoError(tr(Msg::io_exists, path));
  }

  std::vector<Checkpoint> saved;
  for (Part part : parts) {
    saved.push_back(save_part(split_model_path(base, name, part, at), whole, part, at, !arguments.no_metadata,
                              arguments.overwrite));
  }

  print_row(tr(Msg::split_column_part), tr(Msg::split_column_layers), tr(Msg::split_column_parameters), "MB",
            tr(Msg::split_column_file));
  Size total;
  std::int64_t file_bytes = 0;
  for (const Checkpoint& part : saved) {
    const PartInfo info = part_of(part).value();
    const Size size = size_of(part);
    print_row(part_name(info.part),
              std::to_string(info.layers.begin) + "-" + std::to_string(info.layers.end - 1),
              std::to_string(size.parameters), in_mb(size.bytes),
              part.path() + " (" + in_mb(part.file_bytes()) + " MB)");
    total.parameters += size.parameters;
    total.bytes += size.bytes;
    file_bytes += part.file_bytes();
  }
  std::cout << tr(Msg::split_files, parts.size(), in_mb(file_bytes)) << "\n";
  if (parts.size() < std::size(kParts)) return 0;
  const Size full = size_of(whole);
  std::cout << tr(Msg::split_totals, total.parameters, in_mb(total.bytes), full.parameters, in_mb(full.bytes),
                  total.parameters - full.parameters)
            << "\n";
  return 0;
}

}  // namespace

void add_split(CLI::App& app, Action& action) {
  auto a = std::make_shared<SplitArguments>();
  CLI::App* verb = app.add_subcommand("split", tr(Msg::help_split));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("--at", a->at, tr(Msg::help_split_at))->type_name("S1,S2")->group(general);
  verb->add_option("--parts", a->parts, tr(Msg::help_split_parts))
      ->type_name("LIST")
      ->default_str(a->parts)
      ->group(general);
  verb->add_option("--out", a->out, tr(Msg::help_split_out))->type_name("DIR")->group(general);
  verb->add_option("--name", a->name, tr(Msg::help_split_name))->type_name("NAME")->group(general);
  verb->add_flag("--no-metadata", a->no_metadata, tr(Msg::help_split_no_metadata))->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_parts_overwrite))->group(general);
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N")
      ->default_str(a->which)
      ->group(general);
  verb->callback([a, &action] { action = [a] { return split(*a); }; });
}

}  // namespace zhgpt::cli
