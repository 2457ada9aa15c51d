#include "zhgpt/checkpoint_diff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "io/tensor_values.h"

namespace zhgpt {
namespace {

using Change = TensorDiff::Change;

std::string value_or_none(const KeyValues& record, const std::string& key) {
  return record.has(key) ? record.get(key) : "";
}

std::vector<RecordDiff> compare_records(const KeyValues& a, const KeyValues& b) {
  std::vector<RecordDiff> found;
  for (const auto& [key, value] : a.entries()) {
    const std::string other = value_or_none(b, key);
    if (value != other) found.push_back({key, value, other});
  }
  for (const auto& [key, value] : b.entries()) {
    if (!a.has(key)) found.push_back({key, "", value});
  }
  return found;
}

void compare_vocabularies(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b,
                          CheckpointDiff& diff) {
  std::unordered_map<std::int32_t, std::size_t> in_a, in_b;
  for (std::size_t id = 0; id < a.size(); ++id) in_a[a[id]] = id;
  for (std::size_t id = 0; id < b.size(); ++id) in_b[b[id]] = id;
  for (std::size_t id = 0; id < a.size(); ++id) {
    const auto other = in_b.find(a[id]);
    if (other == in_b.end()) {
      diff.removed.push_back(a[id]);
    } else if (other->second != id) {
      diff.moved.push_back(a[id]);
    }
  }
  for (const std::int32_t character : b) {
    if (!in_a.contains(character)) diff.added.push_back(character);
  }
}

std::string describe(const TensorInfo& info) {
  std::string shape;
  for (const std::int64_t dim : info.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(dim);
  return dtype_name(info.dtype) + ("(" + shape + ")");
}

void compare_values(const Checkpoint& a, const TensorInfo& in_a, const Checkpoint& b, const TensorInfo& in_b,
                    TensorDiff& diff) {
  double squares = 0, difference = 0;
  bool same_bytes = in_a.dtype == in_b.dtype;
  TensorPieces left(a, in_a), right(b, in_b);
  while (left.next() && right.next()) {
    same_bytes = same_bytes && std::ranges::equal(left.bytes(), right.bytes());
    for (std::int64_t i = 0; i < left.count(); ++i) {
      const double delta = right[i] - left[i];
      diff.max_abs = std::max(diff.max_abs, std::abs(delta));
      difference += delta * delta;
      squares += left[i] * left[i];
    }
  }
  if (same_bytes) return;
  diff.change = Change::values;
  if (difference > 0) diff.relative = std::sqrt(difference / squares);
}

TensorDiff compare_tensors(const Checkpoint& a, const TensorInfo* in_a, const Checkpoint& b,
                           const TensorInfo* in_b) {
  const TensorInfo& any = in_a ? *in_a : *in_b;
  TensorDiff diff;
  diff.kind = any.kind;
  diff.name = any.name;
  if (in_a) diff.a = describe(*in_a);
  if (in_b) diff.b = describe(*in_b);
  if (!in_b) {
    diff.change = Change::only_a;
  } else if (!in_a) {
    diff.change = Change::only_b;
  } else if (in_a->shape != in_b->shape) {
    diff.change = Change::shape;
  } else {
    compare_values(a, *in_a, b, *in_b, diff);
  }
  return diff;
}

// Larger ones come first.
double amount(const TensorDiff& diff) {
  if (diff.change == Change::none) return -1;
  return diff.change == Change::values ? diff.relative : std::numeric_limits<double>::infinity();
}

}  // namespace

CheckpointDiff compare_checkpoints(const Checkpoint& a, const Checkpoint& b) {
  CheckpointDiff diff;
  diff.step_a = a.step();
  diff.step_b = b.step();
  diff.same_run = a.run_id() == b.run_id();
  diff.same_history = a.history() == b.history();
  diff.config = compare_records(a.config(), b.config());
  diff.progress = compare_records(a.progress(), b.progress());
  compare_vocabularies(a.vocab(), b.vocab(), diff);

  std::map<std::pair<SectionKind, std::string>, const TensorInfo*> in_a, in_b;
  for (const TensorInfo& info : a.tensors()) in_a[{info.kind, info.name}] = &info;
  for (const TensorInfo& info : b.tensors()) in_b[{info.kind, info.name}] = &info;
  const auto find = [](const auto& tensors, const TensorInfo& info) {
    const auto found = tensors.find({info.kind, info.name});
    return found == tensors.end() ? nullptr : found->second;
  };
  for (const TensorInfo& info : a.tensors())
    diff.tensors.push_back(compare_tensors(a, &info, b, find(in_b, info)));
  for (const TensorInfo& info : b.tensors()) {
    if (!find(in_a, info)) diff.tensors.push_back(compare_tensors(a, nullptr, b, &info));
  }
  std::ranges::stable_sort(diff.tensors, std::greater(), amount);
  return diff;
}

bool CheckpointDiff::equal() const {
  return step_a == step_b && same_run && same_history && config.empty() && progress.empty() &&
         added.empty() && removed.empty() && moved.empty() &&
         std::ranges::all_of(tensors, [](const TensorDiff& t) { return t.change == Change::none; });
}

}  // namespace zhgpt
