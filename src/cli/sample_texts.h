// Texts without a loop: for one prompt, for the lines of a file, for the lines of standard input.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/loaded_model.h"
#include "cli/prompt.h"
#include "cli/writer.h"

namespace zhgpt::cli {

class TextWriter {
 public:
  // Takes a text that has ended, its prompt as the model read it, and its number among that one's samples.
  using Take = std::function<void(const std::string& prompt, std::uint64_t sample, Written written)>;
  // num_samples: texts a prompt. take: takes them all; without it they go to standard output.
  TextWriter(LoadedModel& loaded, WriteRequest request, std::int64_t num_samples, Take take = {});
  ~TextWriter();

  // Many texts are written at once and come out in order, the first of them as it is written. A text is a
  // function of model, request, prompt and its number among the prompt's samples, wherever the prompt
  // stands. A character of prompts that the model does not know is named once. All throw DataError when a
  // prompt is not UTF-8, IoError when standard output was closed.
  void write(const std::string& typed);
  // Each line that is not empty, as soon as it is there.
  void write_lines(std::istream& in);
  // The same of a file, which is read whole before anything is written. `name` is for errors; DataError when
  // there is no such line.
  void write_file(std::istream& in, const std::string& name);

 private:
  struct Text;
  Prompt read(const std::string& typed);
  void write_all(const std::vector<Prompt>& prompts);
  void begin_text(std::int64_t row, const std::string& prompt, std::span<const std::int32_t> ids,
                  std::uint64_t sample);
  void end_text(std::int64_t row);
  void show_ended();
  void show_beginning(const Text& text);

  LoadedModel& loaded_;
  std::unique_ptr<Generator> generator_;
  WriteRequest request_;
  std::int64_t num_samples_;
  Take take_;
  bool first_ = true;
  std::set<std::string> named_;              // characters of prompts that were said to be unknown
  std::deque<std::unique_ptr<Text>> texts_;  // from the one that is shown to the last that was begun
  std::vector<Text*> rows_;                  // what each row of the generator writes
};

// Each text as an object on standard output, a line each. Its request is to ask for log-probabilities.
TextWriter::Take json_lines(const LoadedModel& loaded, std::uint64_t seed);

}  // namespace zhgpt::cli
