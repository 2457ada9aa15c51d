// import_model: a foreign model's tensors under our vocabulary, as a snapshot.
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "interop/foreign_json.h"
#include "interop/foreign_vocabulary.h"
#include "interop/huggingface.h"
#include "interop/llmc.h"
#include "interop/tensor_views.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"
#include "zhgpt/messages.h"
#include "zhgpt/params.h"

namespace zhgpt {
namespace {

using namespace interop;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t dim : shape) text += (text.empty() ? "(" : ", ") + std::to_string(dim);
  return text + ")";
}

ForeignModel open_foreign(const std::string& path) {
  if (std::filesystem::is_directory(path)) return open_huggingface(path);
  if (is_llmc(path)) return open_llmc(path);
  if (!std::filesystem::exists(path)) throw IoError(tr(Msg::io_not_found, path));
  throw CheckpointError(tr(Msg::interop_unknown_source, path));
}

// The tensor that a parameter of our table is made of.
TensorSource take(ForeignModel& from, const ParameterSpec& spec) {
  const auto found = from.tensors.find(spec.name);
  if (found == from.tensors.end()) {
    throw CheckpointError(tr(Msg::interop_tensor_missing, from.path, spec.name, shape_text(spec.shape)));
  }
  TensorSource tensor = as_f32(std::move(found->second));
  from.tensors.erase(found);
  const bool may_be_padded = spec.name == "wte.weight" && tensor.info.shape.size() == 2 &&
                             tensor.info.shape[0] >= spec.shape[0] && tensor.info.shape[1] == spec.shape[1];
  if (!may_be_padded && tensor.info.shape != spec.shape) {
    throw CheckpointError(tr(Msg::interop_tensor_shape, from.path, spec.name, shape_text(tensor.info.shape),
                             shape_text(spec.shape)));
  }
  return tensor;
}

std::vector<std::string> notes_on(const VocabularyMapping& mapping, std::int64_t model_rows) {
  std::vector<std::string> notes;
  if (mapping.dropped > 0) {
    notes.push_back(tr(Msg::interop_note_vocab, model_rows - mapping.dropped, model_rows, mapping.dropped));
  }
  if (mapping.unknown.empty()) notes.push_back(tr(Msg::interop_note_mean, "<unk>"));
  if (mapping.end.empty()) notes.push_back(tr(Msg::interop_note_mean, "<|endoftext|>"));
  if (!mapping.unknown.empty() && !mapping.end.empty()) {
    notes.push_back(tr(Msg::interop_note_special, shown_name(mapping.unknown), shown_name(mapping.end)));
  }
  if (mapping.vocab.id('\n') == kUnknownId && mapping.vocab.id(' ') == kUnknownId) {
    notes.push_back(tr(Msg::interop_note_no_newline));
  }
  return notes;
}

// A function of what was imported, so that the same model gives the same file.
RunId run_id_of(const Snapshot& snapshot) {
  const std::uint64_t hash = state_hash(snapshot);
  RunId id{};
  std::memcpy(id.data(), &hash, sizeof hash);
  return id;
}

}  // namespace

Imported import_model(const std::string& path, const std::string& vocabulary) {
  ForeignModel foreign = open_foreign(path);
  const std::string vocabulary_path = vocabulary.empty() ? foreign.vocabulary_path : vocabulary;
  if (vocabulary_path.empty()) throw DataError(tr(Msg::interop_need_vocab, path));
  const std::int64_t model_rows = foreign.config.model.vocab_size;
  const VocabularyMapping mapping =
      map_vocabulary(load_foreign_vocabulary(vocabulary_path), model_rows, foreign.config.end_id);

  Imported imported{{}, notes_on(mapping, model_rows)};
  Snapshot& snapshot = imported.snapshot;
  const ParameterTable table(foreign.config.model);
  for (const ParameterSpec& spec : table.specs()) {
    TensorSource tensor = renamed(take(foreign, spec), spec.name);
    if (spec.name == "wte.weight") tensor = with_rows(std::move(tensor), mapping.rows);
    snapshot.tensors.push_back(std::move(tensor));
  }
  if (!foreign.tensors.empty()) {
    throw CheckpointError(
        tr(Msg::interop_tensor_unknown, foreign.path, shown_name(foreign.tensors.begin()->first)));
  }
  Config config;
  config.model = foreign.config.model;
  config.model.vocab_size = mapping.vocab.size();
  snapshot.config = config.to_key_values();
  snapshot.vocab = mapping.vocab.code_points();
  snapshot.progress.set_integer("step", 0);
  snapshot.progress.set_integer("epoch", foreign.config.epoch);
  snapshot.progress.set("inference_only", "true");
  if (foreign.config.from_pytorch) snapshot.progress.set("converted_from_pytorch", "true");
  snapshot.progress.set_quoted("program", "zhgpt " ZHGPT_VERSION);
  snapshot.run_id = run_id_of(snapshot);
  return imported;
}

}  // namespace zhgpt
