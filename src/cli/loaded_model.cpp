#include "cli/loaded_model.h"

#include <filesystem>
#include <iostream>

#include "text/normalize.h"
#include "text/utf8.h"
#include "zhgpt/error.h"
#include "zhgpt/inference.h"
#include "zhgpt/trainer.h"
#include "zhgpt/training_run.h"

namespace zhgpt::cli {
namespace {

Checkpoint open(const std::string& path, const std::string& which) {
  if (!std::filesystem::exists(path)) throw IoError(tr(Msg::no_such_path, path));
  std::vector<std::string> notes;
  Checkpoint checkpoint = open_run_checkpoint(path, which, &notes);
  for (const std::string& note : notes) std::cerr << note << "\n";
  return checkpoint;
}

}  // namespace

LoadedModel::LoadedModel(const std::string& directory_or_file, const std::string& which,
                         const std::string& device, std::int64_t threads, std::int64_t max_batch)
    : checkpoint(open(directory_or_file, which)),
      config(config_of(checkpoint)),
      vocab(Vocabulary::from_code_points(checkpoint.vocab())),
      backend(make_backend(device, static_cast<int>(threads))),
      model(make_inference_model(*backend, checkpoint, max_batch)) {}

std::string LoadedModel::normalized(const std::string& text) const {
  std::u32string characters, clean;
  const DecodeStep decoded = decode_utf8(text, true, characters);
  if (decoded.invalid > 0) throw DataError(tr(Msg::prompt_not_utf8, decoded.consumed));
  TextCleaner cleaner(normal_form(config.text.normalize));
  cleaner.push(characters, clean);
  cleaner.finish(clean);
  std::string out;
  for (char32_t character : clean) append_utf8(out, character);
  return out;
}

std::string to_utf8(char32_t character) {
  std::string out;
  append_utf8(out, character);
  return out;
}

}  // namespace zhgpt::cli
