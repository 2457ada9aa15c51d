#include "train/state_transfer.h"

#include <algorithm>
#include <vector>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

char* at(Tensor flat, const ParameterSpec& spec) {
  return static_cast<char*>(flat.data) + spec.offset * dtype_bytes(flat.dtype);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    text += (axis ? ", " : "") + std::to_string(shape[axis]);
  return text + ")";
}

}  // namespace

void append_tensors(Snapshot& snapshot, Backend& backend, const ParameterTable& table, SectionKind kind,
                    Tensor flat) {
  for (const ParameterSpec& spec : table.specs()) {
    const char* data = at(flat, spec);
    snapshot.tensors.push_back(
        {.info = {.kind = kind, .name = spec.name, .dtype = flat.dtype, .shape = spec.shape},
         .read = [&backend, data](std::int64_t offset, std::span<std::byte> to) {
           backend.download(to.data(), data + offset, static_cast<std::int64_t>(to.size()));
         }});
  }
}

void require_tensors(const Checkpoint& from, const ParameterTable& table,
                     std::initializer_list<SectionKind> kinds) {
  for (SectionKind kind : kinds) {
    std::size_t present = 0;
    for (const TensorInfo& info : from.tensors()) present += info.kind == kind;
    if (present == 0 && kind != SectionKind::parameter)
      throw CheckpointError(tr(Msg::no_optimizer_state, from.path()));
    for (const ParameterSpec& spec : table.specs()) {
      const auto it = std::find_if(from.tensors().begin(), from.tensors().end(), [&](const TensorInfo& info) {
        return info.kind == kind && info.name == spec.name;
      });
      if (it == from.tensors().end()) throw CheckpointError(tr(Msg::tensor_missing, from.path(), spec.name));
      if (it->dtype != DType::f32 || it->shape != spec.shape) {
        throw CheckpointError(tr(Msg::tensor_mismatch, from.path(), spec.name,
                                 dtype_name(it->dtype) + shape_text(it->shape),
                                 "f32" + shape_text(spec.shape)));
      }
    }
    if (present != table.specs().size()) {
      throw CheckpointError(tr(Msg::tensors_unexpected, from.path(), present, table.specs().size()));
    }
  }
}

void read_tensors(const Checkpoint& from, Backend& backend, const ParameterTable& table, SectionKind kind,
                  Tensor flat) {
  std::vector<std::byte> staging;
  for (const ParameterSpec& spec : table.specs()) {
    staging.resize(static_cast<std::size_t>(spec.numel * dtype_bytes(flat.dtype)));
    from.read(kind, spec.name, staging);
    backend.upload(at(flat, spec), staging.data(), static_cast<std::int64_t>(staging.size()));
  }
}

}  // namespace zhgpt
