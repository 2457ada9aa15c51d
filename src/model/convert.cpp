#include "zhgpt/convert.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <regex>

#include "base/fingerprint.h"
#include "model/precision.h"
#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/params.h"

namespace zhgpt {
namespace {

std::regex expression(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error& error) {
    throw ConfigError(tr(Msg::convert_bad_expression, text, error.what()));
  }
}

// Which tensors are taken, and what they are called.
class Choice {
 public:
  explicit Choice(const ConvertOptions& options) {
    for (const std::string& text : options.include) include_.push_back(expression(text));
    for (const std::string& text : options.exclude) exclude_.push_back(expression(text));
    for (const auto& [from, to] : options.rename) rename_.emplace_back(expression(from), to);
  }
  bool takes(const std::string& name) const {
    const auto matches = [&](const std::regex& r) { return std::regex_search(name, r); };
    return (include_.empty() || std::ranges::any_of(include_, matches)) &&
           std::ranges::none_of(exclude_, matches);
  }
  std::string name(std::string name) const {
    for (const auto& [from, to] : rename_) name = std::regex_replace(name, from, to);
    return name;
  }

 private:
  std::vector<std::regex> include_, exclude_;
  std::vector<std::pair<std::regex, std::string>> rename_;
};

std::string shape_text(const TensorInfo& info) {
  std::string text = "(";
  for (const std::int64_t dim : info.shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(dim);
  return text += ')';
}

Config config_of(const Snapshot& snapshot, const std::string& path) {
  try {
    return Config::from_key_values(snapshot.config);
  } catch (const ConfigError& error) {
    throw CheckpointError(path + ": " + error.what());
  }
}

TensorSource initial_source(const ParameterSpec& spec, SectionKind kind,
                            std::shared_ptr<const std::vector<float>> values) {
  TensorSource source{{kind, spec.name, DType::f32, spec.shape}, {}};
  if (kind == SectionKind::parameter) {
    source.read = [values, begin = spec.offset](std::int64_t offset, std::span<std::byte> to) {
      std::memcpy(to.data(), reinterpret_cast<const char*>(values->data() + begin) + offset, to.size());
    };
  } else {
    source.read = [](std::int64_t, std::span<std::byte> to) { std::ranges::fill(to, std::byte{0}); };
  }
  return source;
}

// The tensors in the model's order, those that do not fit replaced; `fit` receives how the parameters fit.
std::vector<TensorSource> fitted(const std::vector<TensorSource>& tensors, const Config& config,
                                 TensorFit& fit) {
  const ParameterTable table(config.model);
  const auto values = std::make_shared<const std::vector<float>>(
      table.initial_values(static_cast<std::uint64_t>(config.train.seed)));
  std::vector<TensorSource> result;
  for (const SectionKind kind : {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}) {
    const auto is_kind = [&](const TensorSource& tensor) { return tensor.info.kind == kind; };
    if (kind != SectionKind::parameter && std::ranges::none_of(tensors, is_kind)) continue;
    TensorFit ignored;
    TensorFit& of_kind = kind == SectionKind::parameter ? fit : ignored;
    for (const ParameterSpec& spec : table.specs()) {
      const auto tensor = std::ranges::find_if(
          tensors, [&](const TensorSource& t) { return is_kind(t) && t.info.name == spec.name; });
      if (tensor != tensors.end() && tensor->info.shape == spec.shape) {
        of_kind.applied.push_back(spec.name);
        result.push_back(*tensor);
        continue;
      }
      if (tensor == tensors.end()) {
        of_kind.missing.push_back(spec.name);
      } else {
        const TensorInfo expected{kind, spec.name, DType::f32, spec.shape};
        of_kind.mismatched.push_back(spec.name + " " + shape_text(tensor->info) +
                                     " != " + shape_text(expected));
      }
      result.push_back(initial_source(spec, kind, values));
    }
    for (const TensorSource& tensor : tensors) {
      const auto is_its = [&](const ParameterSpec& spec) { return spec.name == tensor.info.name; };
      if (is_kind(tensor) && std::ranges::none_of(table.specs(), is_its))
        of_kind.unused.push_back(tensor.info.name);
    }
  }
  return result;
}

}  // namespace

std::string TensorFit::to_string() const {
  std::string text;
  const std::pair<Msg, const std::vector<std::string>*> lists[] = {{Msg::convert_applied, &applied},
                                                                   {Msg::convert_missing, &missing},
                                                                   {Msg::convert_unused, &unused},
                                                                   {Msg::convert_mismatched, &mismatched}};
  for (const auto& [title, names] : lists) {
    if (names->empty()) continue;
    text += tr(title, names->size());
    for (const std::string& name : *names) text += (&name == &names->front() ? " " : ", ") + name;
    text += "\n";
  }
  return text;
}

Converted convert(const Checkpoint& checkpoint, const ConvertOptions& options) {
  Converted result{snapshot_of(checkpoint), {}};
  Snapshot& snapshot = result.snapshot;
  if (options.inference_only) {
    std::erase_if(snapshot.tensors,
                  [](const TensorSource& t) { return t.info.kind != SectionKind::parameter; });
    snapshot.progress.set("inference_only", "true");
    snapshot.progress.set_quoted("parent", fingerprint_text(checkpoint.state_hash()));
    snapshot.history.clear();
  }
  if (!options.include.empty() || !options.exclude.empty() || !options.rename.empty() || options.partial) {
    const Choice choice(options);
    std::erase_if(snapshot.tensors, [&](const TensorSource& t) { return !choice.takes(t.info.name); });
    for (TensorSource& tensor : snapshot.tensors) tensor.info.name = choice.name(tensor.info.name);
    snapshot.tensors = fitted(snapshot.tensors, config_of(snapshot, checkpoint.path()), result.fit);
    if (!result.fit.is_exact() && !options.partial) {
      throw CheckpointError(tr(Msg::convert_does_not_fit, checkpoint.path(), result.fit.to_string()));
    }
  }
  if (options.dtype) {
    const auto is_moment = [](const TensorSource& t) { return t.info.kind != SectionKind::parameter; };
    if (*options.dtype != DType::f32 && std::ranges::any_of(snapshot.tensors, is_moment)) {
      throw ConfigError(tr(Msg::convert_rounds_training, dtype_name(*options.dtype)));
    }
    for (TensorSource& tensor : snapshot.tensors) {
      if (!is_moment(tensor))
        tensor = in_precision(tensor, tensor.info.shape.size() > 1 ? *options.dtype : DType::f32);
    }
  }
  return result;
}

}  // namespace zhgpt
