// zhgpt inspect DIR|FILE [--keys] [--json]: what a checkpoint holds, after verifying all of it. The same is
// zhgpt ckpt inspect.
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/fingerprint.h"
#include "base/record_json.h"
#include "cli/console.h"
#include "cli/program.h"
#include "cli/table.h"
#include "io/tensor_values.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"
#include "zhgpt/split.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

struct InspectArguments {
  std::string path;
  std::string which = "last";
  bool json = false, keys = false;
};

const char* kind_name(SectionKind kind) {
  switch (kind) {
    case SectionKind::parameter: return "parameter";
    case SectionKind::adam_m: return "adam_m";
    case SectionKind::adam_v: return "adam_v";
    default: return "other";
  }
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Json describe(const Checkpoint& c) {
  Json out;
  out["file"] = c.path();
  out["format"] = 1;
  out["step"] = c.step();
  out["epoch"] = c.progress().get_integer("epoch");
  out["state_hash"] = fingerprint_text(c.state_hash());
  out["bytes"] = c.file_bytes();
  out["run_id"] = hex(c.run_id());
  out["vocab_size"] = c.vocab().size();
  if (const auto part = part_of(c)) out["part"] = part->text();
  std::int64_t parameters = 0;
  Json tensors = Json::array();
  for (const TensorInfo& t : c.tensors()) {
    if (t.kind == SectionKind::parameter) parameters += t.bytes() / dtype_bytes(t.dtype);
    tensors.push_back({{"name", t.name}, {"kind", kind_name(t.kind)}, {"dtype", dtype_name(t.dtype)}, {"shape", t.shape}});
  }
  out["parameters"] = parameters;
  out["config"] = record_json(c.config());
  out["progress"] = record_json(c.progress());
  out["tensors"] = std::move(tensors);
  return out;
}

std::string shape_text(const TensorInfo& info) {
  std::string text;
  for (const std::int64_t dim : info.shape) text += (text.empty() ? "" : ", ") + std::to_string(dim);
  return "(" + text + ")";
}

// Every tensor with its norm, which means reading them all once more.
void print_keys(const Checkpoint& checkpoint, bool json) {
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows{{tr(Msg::column_kind), tr(Msg::column_name), tr(Msg::column_dtype),
                                              tr(Msg::column_shape), tr(Msg::column_norm)}};
  for (const TensorInfo& t : checkpoint.tensors()) {
    const double norm = tensor_norm(checkpoint, t);
    list.push_back({{"name", t.name}, {"kind", kind_name(t.kind)}, {"dtype", dtype_name(t.dtype)}, {"shape", t.shape}, {"norm", norm}});
    rows.push_back({kind_name(t.kind), t.name, dtype_name(t.dtype), shape_text(t), fixed(norm, 6)});
  }
  std::cout << (json ? list.dump(2) + "\n" : table(rows, "llllr"));
}

int inspect(const InspectArguments& arguments) {
  if (arguments.path.empty()) throw ConfigError(tr(Msg::no_run_given, "inspect"));
  const Checkpoint checkpoint = open_run_checkpoint(arguments.path, arguments.which);
  if (arguments.keys) {
    print_keys(checkpoint, arguments.json);
    return 0;
  }
  const Json description = describe(checkpoint);
  if (arguments.json) {
    std::cout << description.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return 0;
  }
  for (const auto& [key, value] : description.items()) {
    if (key == "tensors") {
      std::cout << "tensors\n";
      for (const Json& t : value) {
        if (t["kind"] == "parameter") {
          std::cout << "  " << t["name"].get<std::string>() << "  " << t["dtype"].get<std::string>() << " " << t["shape"].dump() << "\n";
        }
      }
    } else if (value.is_object()) {
      std::cout << key << "\n";
      for (const auto& [name, entry] : value.items()) std::cout << "  " << name << " = " << entry.dump() << "\n";
    } else {
      std::cout << key << "  " << (value.is_string() ? value.get<std::string>() : value.dump()) << "\n";
    }
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto a = std::make_shared<InspectArguments>();
  CLI::App* verb = app.add_subcommand("inspect", tr(Msg::help_inspect));
  verb->add_option("DIR|FILE", a->path, tr(Msg::help_run_argument))->type_name("");
  verb->add_option("--from", a->which, tr(Msg::help_from))->type_name("last|best|epoch:N|v:NAME")->default_str(a->which)->group(tr(Msg::group_general));
  verb->add_flag("--keys", a->keys, tr(Msg::help_ckpt_keys))->group(tr(Msg::group_general));
  verb->add_flag("--json", a->json, tr(Msg::help_json))->group(tr(Msg::group_general));
  verb->callback([a, &action] { action = [a] { return inspect(*a); }; });
}

}  // namespace zhgpt::cli
