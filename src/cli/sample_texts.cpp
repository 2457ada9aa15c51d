#include "cli/sample_texts.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/fingerprint.h"
#include "cli/chat.h"
#include "cli/console.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

// So many texts are written at once where memory allows: more rows cost a product little until it computes
// as long as it reads weights.
constexpr std::int64_t kMostRows = 16;
constexpr std::int64_t kCacheBytes = std::int64_t{1} << 30;  // for their keys and values

std::int64_t rows_for(const LoadedModel& loaded, std::int64_t texts) {
  const ModelConfig& config = loaded.config.model;
  const std::int64_t bytes = config.n_layer * 2 * config.block_size * config.n_embd * 4;
  return std::clamp<std::int64_t>(std::min(texts, kCacheBytes / bytes), 1, kMostRows);
}

// Without the carriage return that Windows puts before a line's end.
bool next_line(std::istream& in, std::string& line) {
  if (!std::getline(in, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace

struct TextWriter::Text {
  std::string prompt;
  std::uint64_t sample = 0;
  std::unique_ptr<Writing> writing;  // until it is written
  Written written;
  std::string kept;  // what was written before it was this text's turn
};

TextWriter::TextWriter(LoadedModel& loaded, WriteRequest request, std::int64_t num_samples, Take take)
    : loaded_(loaded), request_(std::move(request)), num_samples_(num_samples), take_(std::move(take)) {}

TextWriter::~TextWriter() = default;

Prompt TextWriter::read(const std::string& typed) {
  Prompt prompt = read_prompt(loaded_.vocab, loaded_.config.text, typed);
  for (std::vector<std::string>* names : {&prompt.replaced, &prompt.left_out}) {
    std::erase_if(*names, [this](const std::string& name) { return !named_.insert(name).second; });
  }
  say_notes(prompt);
  return prompt;
}

void TextWriter::write(const std::string& typed) {
  write_all({read(typed)});
}

void TextWriter::write_lines(std::istream& in) {
  for (std::string line; stop_signal.load() == 0 && next_line(in, line);) {
    if (!line.empty()) write(line);
  }
}

void TextWriter::write_file(std::istream& in, const std::string& name) {
  std::vector<Prompt> prompts;
  std::int64_t number = 1;
  for (std::string line; stop_signal.load() == 0 && next_line(in, line); ++number) {
    try {
      if (!line.empty()) prompts.push_back(read(line));
    } catch (const DataError& error) {
      throw DataError(name + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  if (stop_signal.load() != 0) return;
  if (prompts.empty()) throw DataError(tr(Msg::no_prompts, name));
  write_all(prompts);
}

void TextWriter::write_all(const std::vector<Prompt>& prompts) {
  const std::int64_t count = std::ssize(prompts) * num_samples_, rows = rows_for(loaded_, count);
  if (!generator_ || generator_->rows() != rows) {
    generator_.reset();
    generator_ = std::make_unique<Generator>(*loaded_.model, rows, loaded_.weights);
  }
  rows_.assign(static_cast<std::size_t>(rows), nullptr);
  std::vector<Writing*> going_on;
  std::int64_t next = 0;
  do {
    for (std::int64_t row = 0; row < rows; ++row) {
      // A text that waits for its turn takes memory: not too many are ahead of the one that is shown.
      const bool may_begin = next < count && std::ssize(texts_) < 4 * rows && stop_signal.load() == 0;
      if (rows_[static_cast<std::size_t>(row)] || !may_begin) continue;
      const Prompt& prompt = prompts[static_cast<std::size_t>(next / num_samples_)];
      begin_text(row, prompt.text, prompt.ids, static_cast<std::uint64_t>(next++ % num_samples_));
    }
    going_on.clear();
    for (std::int64_t row = 0; row < rows; ++row) {
      const Text* text = rows_[static_cast<std::size_t>(row)];
      if (!text) continue;
      if (text->writing->goes_on()) {
        going_on.push_back(text->writing.get());
      } else {
        end_text(row);
      }
    }
    show_ended();
    if (!going_on.empty()) Writing::advance(going_on);
  } while (!going_on.empty() || (next < count && stop_signal.load() == 0));
}

void TextWriter::begin_text(std::int64_t row, const std::string& prompt, std::span<const std::int32_t> ids,
                            std::uint64_t sample) {
  Text* text = texts_.emplace_back(std::make_unique<Text>()).get();
  rows_[static_cast<std::size_t>(row)] = text;
  text->prompt = prompt;
  text->sample = sample;
  if (texts_.size() == 1) show_beginning(*text);
  const auto show = [this, text](std::string_view piece) {
    if (take_) return;
    if (text == texts_.front().get()) return write_out(piece);
    text->kept += piece;
  };
  WriteRequest request = request_;
  request.sample = sample;
  generator_->start(row, ids, sample);
  text->writing = std::make_unique<Writing>(loaded_.vocab, *generator_, row, std::move(request), show);
}

void TextWriter::end_text(std::int64_t row) {
  Text*& text = rows_[static_cast<std::size_t>(row)];
  text->written = text->writing->finish();
  text->writing.reset();
  text = nullptr;
  generator_->stop(row);
}

// In order, up to the first that is still written. Of what Ctrl-C ended only the text that was on show.
void TextWriter::show_ended() {
  while (!texts_.empty() && !texts_.front()->writing) {
    const std::unique_ptr<Text> text = std::move(texts_.front());
    take_ ? take_(text->prompt, text->sample, std::move(text->written)) : write_out("\n");
    texts_.pop_front();
    const auto is_lost = [](const Text& t) { return !t.writing && t.written.ending == Ending::interrupted; };
    while (!texts_.empty() && is_lost(*texts_.front())) texts_.pop_front();
    if (!texts_.empty()) show_beginning(*texts_.front());
  }
}

void TextWriter::show_beginning(const Text& text) {
  if (!take_) write_out((std::exchange(first_, false) ? "" : "\n") + text.prompt + text.kept);
}

TextWriter::Take json_lines(const LoadedModel& loaded, std::uint64_t seed) {
  return [&loaded, seed](const std::string& prompt, std::uint64_t sample, const Written& written) {
    const nlohmann::ordered_json object = {{"prompt", prompt},
                                           {"text", written.text},
                                           {"tokens", written.tokens},
                                           {"log_probabilities", written.log_probabilities},
                                           {"ended_by", name_of(written.ending)},
                                           {"seconds", written.seconds},
                                           {"seed", seed},
                                           {"sample", sample},
                                           {"model", fingerprint_text(loaded.checkpoint.state_hash())},
                                           {"step", loaded.checkpoint.step()}};
    write_out(object.dump() + "\n");
  };
}

}  // namespace zhgpt::cli
