#include "train/state_transfer.h"

#include <algorithm>
#include <vector>

#include "model/precision.h"
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

void append_tensors(Snapshot& snapshot, const ParameterTable& table, SectionKind kind,
                    const TensorReadFunction& read) {
  for (const ParameterSpec& spec : table.specs()) {
    const std::int64_t begin = spec.offset * dtype_bytes(DType::f32);
    TensorSource source;
    source.info = {.kind = kind, .name = spec.name, .dtype = DType::f32, .shape = spec.shape};
    source.read = [begin, read](std::int64_t offset, std::span<std::byte> to) { read(begin + offset, to); };
    snapshot.tensors.push_back(std::move(source));
  }
}

void require_tensors(const Checkpoint& from, const ParameterTable& table,
                     std::initializer_list<SectionKind> kinds, Precision precision) {
  const auto is_allowed = [&](DType dtype) {
    return precision == Precision::any ? is_real(dtype) : dtype == DType::f32;
  };
  const auto count = [&](SectionKind kind) {
    return std::ranges::count(from.tensors(), kind, &TensorInfo::kind);
  };
  for (SectionKind kind : kinds) {
    if (kind != SectionKind::parameter && count(kind) == 0)
      throw CheckpointError(tr(Msg::no_optimizer_state, from.path()));
  }
  for (SectionKind kind : kinds) {
    for (const ParameterSpec& spec : table.specs()) {
      const auto it = std::find_if(from.tensors().begin(), from.tensors().end(), [&](const TensorInfo& info) {
        return info.kind == kind && info.name == spec.name;
      });
      if (it == from.tensors().end()) throw CheckpointError(tr(Msg::tensor_missing, from.path(), spec.name));
      if (!is_allowed(it->dtype) || it->shape != spec.shape) {
        throw CheckpointError(tr(Msg::tensor_mismatch, from.path(), spec.name,
                                 dtype_name(it->dtype) + shape_text(it->shape),
                                 "f32" + shape_text(spec.shape)));
      }
    }
    const auto present = static_cast<std::size_t>(count(kind));
    if (present != table.specs().size()) {
      throw CheckpointError(tr(Msg::tensors_unexpected, from.path(), present, table.specs().size()));
    }
  }
}

void read_tensors(const Checkpoint& from, Backend& backend, const ParameterTable& table, SectionKind kind,
                  Tensor flat) {
  std::vector<std::byte> staging, kept;
  for (const TensorInfo& info : from.tensors()) {
    if (info.kind != kind) continue;
    const ParameterSpec& spec = table.find(info.name);
    staging.resize(static_cast<std::size_t>(spec.numel * dtype_bytes(flat.dtype)));
    if (info.dtype == flat.dtype) {
      from.read(kind, spec.name, staging);
    } else {
      kept.resize(static_cast<std::size_t>(info.bytes()));
      from.read(kind, spec.name, kept);
      convert_elements(info.dtype, kept, flat.dtype, staging);
    }
    backend.upload(at(flat, spec), staging.data(), static_cast<std::int64_t>(staging.size()));
  }
}

}  // namespace zhgpt
