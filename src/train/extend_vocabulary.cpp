#include "train/extend_vocabulary.h"

#include <algorithm>

#include "base/fingerprint.h"
#include "io/tensor_values.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr const char* kEmbedding = "wte.weight";

// (C), over the rows of characters: ids 0 and 1 are none.
std::vector<float> mean_row(const Checkpoint& from, const TensorInfo& wte) {
  const std::int64_t rows = wte.shape[0], C = wte.shape[1];
  const std::int64_t first = rows > kEndOfTextId + 1 ? kEndOfTextId + 1 : 0;
  std::vector<double> sums(static_cast<std::size_t>(C));
  std::int64_t element = 0;
  for (TensorPieces pieces(from, wte); pieces.next();) {
    for (std::int64_t i = 0; i < pieces.count(); ++i, ++element) {
      if (element / C >= first) sums[static_cast<std::size_t>(element % C)] += pieces[i];
    }
  }
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(rows - first)));
  return mean;
}

// The tensor of `old`, then copies of `row` without end.
TensorReadFunction followed_by(const TensorSource& old, std::vector<float> row) {
  return [old, row = std::move(row)](std::int64_t offset, std::span<std::byte> to) {
    const std::int64_t old_bytes = old.info.bytes();
    const auto from_old =
        static_cast<std::size_t>(std::clamp<std::int64_t>(old_bytes - offset, 0, std::ssize(to)));
    if (from_old > 0) old.read(offset, to.first(from_old));
    const auto bytes = std::as_bytes(std::span(row));
    const auto at = static_cast<std::size_t>(std::max<std::int64_t>(offset - old_bytes, 0));
    for (std::size_t i = from_old; i < to.size(); ++i) to[i] = bytes[(at + i - from_old) % bytes.size()];
  };
}

}  // namespace

std::vector<std::int32_t> missing_characters(const Vocabulary& vocab, const CharacterCounts& counts,
                                             std::int64_t min_count) {
  std::vector<std::int32_t> missing;
  const Vocabulary of_text = Vocabulary::build(counts, min_count);
  for (const std::int32_t c : of_text.code_points()) {
    if (c >= 0 && vocab.id(static_cast<char32_t>(c)) == kUnknownId) missing.push_back(c);
  }
  return missing;
}

Snapshot extend_vocabulary(const Checkpoint& from, const std::vector<std::int32_t>& added) {
  const std::int64_t old_size = std::ssize(from.vocab());
  Snapshot snapshot = snapshot_of(from);
  snapshot.vocab.insert(snapshot.vocab.end(), added.begin(), added.end());
  snapshot.config.set_integer("vocab_size", std::ssize(snapshot.vocab));
  snapshot.progress.set_quoted("parent", fingerprint_text(from.state_hash()));
  bool is_there = false;
  for (TensorSource& tensor : snapshot.tensors) {
    TensorInfo& info = tensor.info;
    if (info.name != kEmbedding) continue;
    if (info.dtype != DType::f32 || info.shape.size() != 2 || info.shape[0] != old_size) {
      throw CheckpointError(tr(Msg::extend_no_rows, from.path(), old_size));
    }
    const bool is_parameter = info.kind == SectionKind::parameter;
    is_there = is_there || is_parameter;
    const std::vector<float> zeros(static_cast<std::size_t>(info.shape[1]));
    tensor.read = followed_by(tensor, is_parameter ? mean_row(from, info) : zeros);
    info.shape[0] = std::ssize(snapshot.vocab);
  }
  if (!is_there) throw CheckpointError(tr(Msg::extend_no_rows, from.path(), old_size));
  return snapshot;
}

}  // namespace zhgpt
