// Texts without a loop: for one prompt, for the lines of a file, for the lines of standard input.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "cli/loaded_model.h"
#include "cli/writer.h"

namespace zhgpt::cli {

class TextWriter {
 public:
  // num_samples: texts a prompt. json: an object a text, a line each, instead of the text.
  TextWriter(LoadedModel& loaded, WriteRequest request, std::int64_t num_samples, bool json);

  // A text is a function of model, request, prompt and its number among the prompt's samples, wherever the
  // prompt stands. Throws DataError when it is not UTF-8, IoError when standard output was closed.
  void write(const std::string& typed);
  // Every line that is not empty, as soon as it is there.
  void write_lines(std::istream& in);

 private:
  void write_json(const std::string& prompt, const Written& written);

  LoadedModel& loaded_;
  Generator generator_;
  WriteRequest request_;
  std::int64_t num_samples_;
  bool json_, first_ = true;
};

}  // namespace zhgpt::cli
