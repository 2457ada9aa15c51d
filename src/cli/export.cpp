// zhgpt export DIR|FILE -o OUT --format hf|gguf|llmc: a model for another program.
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

struct ExportArguments {
  std::string source, output;
  std::string which = "last", format = "hf", dtype = "f32";
  bool overwrite = false;
};

void require_choice(const char* name, const std::string& value, std::initializer_list<const char*> choices) {
  std::string all;
  for (const char* choice : choices) {
    if (value == choice) return;
    all += (all.empty() ? "" : "|") + std::string(choice);
  }
  throw ConfigError(tr(Msg::not_a_choice, name, value, all));
}

int export_model(const ExportArguments& arguments) {
  if (arguments.source.empty()) throw ConfigError(tr(Msg::interop_no_source, "export", "DIR -o model-hf"));
  if (arguments.output.empty()) throw ConfigError(tr(Msg::interop_no_output, "export"));
  require_choice("format", arguments.format, {"hf", "gguf", "llmc"});
  require_choice("dtype", arguments.dtype, {"f32", "f16"});
  const DType dtype = arguments.dtype == "f16" ? DType::f16 : DType::f32;
  if (dtype == DType::f16 && arguments.format != "gguf") {
    throw ConfigError(tr(Msg::interop_f16_gguf_only, arguments.format));
  }
  if (!std::filesystem::exists(arguments.source)) throw IoError(tr(Msg::no_such_path, arguments.source));
  std::vector<std::string> notes;
  const Checkpoint checkpoint = open_run_checkpoint(arguments.source, arguments.which, &notes);
  for (const std::string& note : notes) std::cerr << note << "\n";
  const Snapshot snapshot = snapshot_of(checkpoint);
  if (arguments.format == "hf") {
    export_huggingface(snapshot, arguments.output);
  } else if (arguments.format == "gguf") {
    export_gguf(snapshot, arguments.output, dtype, arguments.overwrite);
  } else {
    export_llmc(snapshot, arguments.output, arguments.overwrite);
  }
  std::cerr << tr(Msg::interop_exported, checkpoint.path(), arguments.output, arguments.format) << "\n";
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto a = std::make_shared<ExportArguments>();
  CLI::App* verb = app.add_subcommand("export", tr(Msg::help_export));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->source, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("-o,--output", a->output, tr(Msg::help_export_output))->type_name("PATH")->group(general);
  verb->add_option("--format", a->format, tr(Msg::help_export_format))
      ->type_name("hf|gguf|llmc")
      ->default_str(a->format)
      ->group(general);
  verb->add_option("--dtype", a->dtype, tr(Msg::help_export_dtype))
      ->type_name("f32|f16")
      ->default_str(a->dtype)
      ->group(general);
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N")
      ->default_str(a->which)
      ->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_interop_overwrite))->group(general);
  verb->callback([a, &action] { action = [a] { return export_model(*a); }; });
}

}  // namespace zhgpt::cli
