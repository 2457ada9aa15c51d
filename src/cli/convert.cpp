// zhgpt convert FILE -o FILE...: the same state in another format, precision or with other tensors.
#include "zhgpt/convert.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/console.h"
#include "cli/program.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertArguments {
  std::string from_path;
  std::string which = "last";
  std::vector<std::string> outputs;
  std::string format, dtype;
  std::vector<std::string> rename;
  ConvertOptions options;
  bool overwrite = false;
};

Format format_for(const std::string& output, const std::string& wanted) {
  if (!wanted.empty()) {
    if (const auto format = format_of_name(wanted)) return *format;
    throw ConfigError(tr(Msg::convert_bad_format, wanted));
  }
  if (const auto format = format_of_path(output)) return *format;
  throw ConfigError(tr(Msg::convert_unknown_extension, output));
}

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  throw ConfigError(tr(Msg::not_a_choice, "dtype", name, "f32|f16|bf16"));
}

std::pair<std::string, std::string> rename_pair(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) throw ConfigError(tr(Msg::convert_bad_rename, text));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void say_source(const Checkpoint& checkpoint) {
  std::int64_t parameters = 0;
  for (const TensorInfo& info : checkpoint.tensors()) {
    if (info.kind == SectionKind::parameter) parameters += info.bytes() / dtype_bytes(info.dtype);
  }
  const KeyValues& config = checkpoint.config();
  std::cerr << tr(Msg::convert_read, checkpoint.path(), format_name(checkpoint.format()), checkpoint.step(),
                  checkpoint.vocab().size(), config.has("n_layer") ? config.get("n_layer") : "?", parameters)
            << "\n";
}

int convert_files(ConvertArguments a) {
  if (a.from_path.empty()) throw ConfigError(tr(Msg::no_run_given, "convert"));
  if (a.outputs.empty()) throw ConfigError(tr(Msg::convert_no_output));
  if (!a.dtype.empty()) a.options.dtype = dtype_named(a.dtype);
  for (const std::string& text : a.rename) a.options.rename.push_back(rename_pair(text));
  std::vector<Format> formats;
  for (const std::string& output : a.outputs) formats.push_back(format_for(output, a.format));

  if (!fs::exists(a.from_path)) throw IoError(tr(Msg::no_such_path, a.from_path));
  const Checkpoint checkpoint = open_run_checkpoint(a.from_path, a.which);
  say_source(checkpoint);
  const Converted converted = convert(checkpoint, a.options);
  if (!converted.fit.is_exact()) std::cerr << converted.fit.to_string();
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const fs::path parent = fs::path(a.outputs[i]).parent_path();
    if (!parent.empty()) prepare_directory(parent.string());
    save_model(a.outputs[i], converted.snapshot, formats[i], a.overwrite);
    const auto bytes = static_cast<double>(fs::file_size(a.outputs[i]));
    std::cerr << tr(Msg::convert_written, a.outputs[i], fixed(bytes / 1e6, 2)) << "\n";
  }
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Action& action) {
  auto a = std::make_shared<ConvertArguments>();
  CLI::App* verb = app.add_subcommand("convert", tr(Msg::help_convert));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR|FILE", a->from_path, tr(Msg::help_run_argument))->type_name("");
  const auto add_list = [&](const char* name, std::vector<std::string>& values, Msg help, const char* type) {
    verb->add_option(name, values, tr(help))->type_name(type)->allow_extra_args(false)->group(general);
  };
  add_list("-o,--output", a->outputs, Msg::help_convert_output, "FILE");
  verb->add_option("--format", a->format, tr(Msg::help_convert_format))
      ->type_name("bin|json|mpk|safetensors")
      ->group(general);
  verb->add_option("--dtype", a->dtype, tr(Msg::help_convert_dtype))
      ->type_name("f32|f16|bf16")
      ->group(general);
  verb->add_flag("--inference-only", a->options.inference_only, tr(Msg::help_inference_only))->group(general);
  add_list("--include", a->options.include, Msg::help_include, "REGEX");
  add_list("--exclude", a->options.exclude, Msg::help_exclude, "REGEX");
  add_list("--rename", a->rename, Msg::help_rename, "FROM=TO");
  verb->add_flag("--partial", a->options.partial, tr(Msg::help_partial))->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_overwrite))->group(general);
  verb->add_option("--from", a->which, tr(Msg::help_from))
      ->type_name("last|best|epoch:N")
      ->default_str(a->which)
      ->group(general);
  verb->callback([a, &action] { action = [a] { return convert_files(*a); }; });
}

}  // namespace zhgpt::cli
