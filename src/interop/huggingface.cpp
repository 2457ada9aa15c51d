#include "interop/huggingface.h"

#include <filesystem>
#include <memory>

#include "interop/foreign_json.h"
#include "interop/huggingface_files.h"
#include "interop/model_source.h"
#include "interop/tensor_views.h"
#include "io/atomic_directory.h"
#include "io/safetensors_header.h"
#include "io/transpose.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"
#include "zhgpt/interop.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

constexpr const char* kPrefix = "transformer.";

// Causal masks that old versions of transformers stored beside the weights.
bool is_mask(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

// The weights' path. Directories of the hub's cache hold links to files elsewhere: they are followed.
std::string weights_path(const std::string& directory) {
  const auto has = [&](const char* name) { return std::filesystem::exists(directory + "/" + name); };
  for (const char* name : {"config.json", "model.safetensors"}) {
    if (has(name)) continue;
    const Msg hint = has("model.safetensors.index.json") ? Msg::interop_sharded
                     : has("pytorch_model.bin") || has("pytorch_model.bin.index.json")
                         ? Msg::interop_pickle
                         : Msg::interop_check_directory;
    throw CheckpointError(tr(Msg::interop_no_file, directory, name, tr(hint)));
  }
  return std::filesystem::canonical(directory + "/model.safetensors").string();
}

DType dtype_of(const SafetensorsTensor& tensor) {
  if (tensor.dtype == "F32") return DType::f32;
  if (tensor.dtype == "F16") return DType::f16;
  if (tensor.dtype == "BF16") return DType::bf16;
  throw CheckpointError(tr(Msg::interop_dtype, shown_name(tensor.name), tensor.dtype));
}

TensorSource source_of(const std::shared_ptr<const ByteSource>& file, const SafetensorsTensor& tensor,
                       const std::string& name) {
  const TensorInfo info{SectionKind::parameter, name, dtype_of(tensor), tensor.shape};
  return {info, [file, begin = tensor.begin](std::int64_t offset, std::span<std::byte> to) {
            file->read(begin + offset, to);
          }};
}

}  // namespace

ForeignModel open_huggingface(const std::string& directory) {
  ForeignModel model{.path = weights_path(directory)};
  model.config = read_gpt2_config(directory + "/config.json");
  const auto file = ByteSource::open(model.path);
  for (const SafetensorsTensor& tensor : read_safetensors_header(*file).tensors) {
    const std::string name =
        tensor.name.starts_with(kPrefix) ? tensor.name.substr(std::string_view(kPrefix).size()) : tensor.name;
    if (is_mask(name)) continue;
    TensorSource source = source_of(file, tensor, name);
    if (is_conv1d_weight(name) && tensor.shape.size() == 2) source = transposed(std::move(source));
    if (!model.tensors.emplace(name, std::move(source)).second) {
      throw CheckpointError(tr(Msg::interop_tensor_unknown, model.path, shown_name(tensor.name)));
    }
  }
  if (const auto head = model.tensors.find("lm_head.weight"); head != model.tensors.end()) {
    const auto embedding = model.tensors.find("wte.weight");
    if (embedding == model.tensors.end() || !equal_bytes(head->second, embedding->second)) {
      throw CheckpointError(tr(Msg::interop_untied_head, model.path));
    }
    model.tensors.erase(head);
  }
  for (const char* name : {"tokenizer.json", "vocab.txt"}) {
    const std::string path = directory + "/" + name;
    if (model.vocabulary_path.empty() && std::filesystem::exists(path)) model.vocabulary_path = path;
  }
  return model;
}

}  // namespace zhgpt::interop

namespace zhgpt {

using namespace interop;

namespace {

// A .safetensors checkpoint is what transformers loads already; here without moments and history.
Snapshot weights_of(const Snapshot& snapshot, const ModelSource& source) {
  Snapshot weights = snapshot;
  weights.progress.set("inference_only", "true");
  weights.history.clear();
  weights.tensors.clear();
  for (const ParameterSpec& spec : source.table().specs())
    weights.tensors.push_back(source.parameter(spec.name));
  return weights;
}

}  // namespace

void export_huggingface(const Snapshot& snapshot, const std::string& path) {
  const ModelSource source(snapshot);
  AtomicDirectory directory(path);
  write_text_file(directory.file("config.json"), gpt2_config_json(source.model()));
  write_text_file(directory.file("tokenizer.json"), tokenizer_json(source.vocab()));
  write_text_file(directory.file("tokenizer_config.json"), tokenizer_config_json(source.model()));
  write_text_file(directory.file("special_tokens_map.json"), special_tokens_map_json());
  write_text_file(directory.file("generation_config.json"), generation_config_json());
  write_text_file(directory.file("README.md"), model_card(source));
  save_model_safetensors(directory.file("model.safetensors"), weights_of(snapshot, source));
  directory.commit();
}

}  // namespace zhgpt
