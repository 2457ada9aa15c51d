#include "interop/huggingface.h"

#include <filesystem>
#include <memory>

#include "interop/huggingface_files.h"
#include "interop/model_source.h"
#include "interop/safetensors.h"
#include "interop/tensor_views.h"
#include "io/atomic_directory.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

constexpr const char* kPrefix = "transformer.";

// Causal masks that old versions of transformers stored beside the weights.
bool is_mask(const std::string& name) { return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"); }

// The weights' path. Directories of the hub's cache hold links to files elsewhere: they are followed.
std::string weights_path(const std::string& directory) {
  const auto has = [&](const char* name) { return std::filesystem::exists(directory + "/" + name); };
  for (const char* name : {"config.json", "model.safetensors"}) {
    if (has(name)) continue;
    const Msg hint = has("model.safetensors.index.json")                          ? Msg::interop_sharded
                     : has("pytorch_model.bin") || has("pytorch_model.bin.index.json") ? Msg::interop_pickle
                                                                                  : Msg::interop_check_directory;
    throw CheckpointError(tr(Msg::interop_no_file, directory, name, tr(hint)));
  }
  return std::filesystem::canonical(directory + "/model.safetensors").string();
}

DType dtype_of(const StoredTensor& tensor) {
  if (tensor.dtype == "F32") return DType::f32;
  if (tensor.dtype == "F16") return DType::f16;
  if (tensor.dtype == "BF16") return DType::bf16;
  throw CheckpointError(tr(Msg::interop_dtype, tensor.name, tensor.dtype));
}

TensorSource source_of(const std::shared_ptr<const ByteSource>& file, const StoredTensor& tensor, const std::string& name) {
  const TensorInfo info{SectionKind::parameter, name, dtype_of(tensor), tensor.shape};
  return {info, [file, begin = tensor.offset](std::int64_t offset, std::span<std::byte> to) { file->read(begin + offset, to); }};
}

}  // namespace

bool is_conv1d_weight(const std::string& name) {
  for (const char* end : {".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

ForeignModel open_huggingface(const std::string& directory) {
  ForeignModel model{.path = weights_path(directory)};
  model.config = read_gpt2_config(directory + "/config.json");
  const auto file = ByteSource::open(model.path);
  for (const StoredTensor& tensor : read_safetensors_header(*file)) {
    const std::string name = tensor.name.starts_with(kPrefix) ? tensor.name.substr(std::string_view(kPrefix).size()) : tensor.name;
    if (is_mask(name)) continue;
    TensorSource source = source_of(file, tensor, name);
    if (is_conv1d_weight(name) && tensor.shape.size() == 2) source = transposed(std::move(source));
    if (!model.tensors.emplace(name, std::move(source)).second) {
      throw CheckpointError(tr(Msg::interop_tensor_unknown, model.path, tensor.name));
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

void export_huggingface(const Snapshot& snapshot, const std::string& path) {
  const ModelSource source(snapshot);
  std::vector<TensorSource> tensors;
  for (const ParameterSpec& spec : source.table().specs()) {
    TensorSource tensor = renamed(source.parameter(spec.name), kPrefix + spec.name);
    tensors.push_back(is_conv1d_weight(spec.name) ? transposed(std::move(tensor)) : std::move(tensor));
  }
  AtomicDirectory directory(path);
  write_text_file(directory.file("config.json"), gpt2_config_json(source.model()));
  write_text_file(directory.file("tokenizer.json"), tokenizer_json(source.vocab()));
  write_text_file(directory.file("tokenizer_config.json"), tokenizer_config_json(source.model()));
  write_text_file(directory.file("special_tokens_map.json"), special_tokens_map_json());
  write_text_file(directory.file("generation_config.json"), generation_config_json());
  write_text_file(directory.file("README.md"), model_card(source));
  write_safetensors_weights(directory.file("model.safetensors"), tensors);
  directory.commit();
}

}  // namespace zhgpt
