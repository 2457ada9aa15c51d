#include "cli/sample_texts.h"

#include <iostream>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/fingerprint.h"
#include "cli/chat.h"
#include "cli/console.h"
#include "cli/prompt.h"

namespace zhgpt::cli {

TextWriter::TextWriter(LoadedModel& loaded, WriteRequest request, std::int64_t num_samples, bool json)
    : loaded_(loaded),
      generator_(*loaded.model, 1, loaded.weights),
      request_(std::move(request)),
      num_samples_(num_samples),
      json_(json) {
  request_.log_probabilities = json;
}

void TextWriter::write(const std::string& typed) {
  const Prompt prompt = read_prompt(loaded_.vocab, loaded_.config.text, typed);
  for (const std::string& note : prompt.notes) std::cerr << note << "\n";
  for (std::int64_t n = 0; n < num_samples_ && stop_signal.load() == 0; ++n) {
    request_.sample = static_cast<std::uint64_t>(n);
    generator_.start(prompt.ids, request_.sample);
    if (json_) {
      write_json(prompt.text, write_text(loaded_.vocab, generator_, request_, [](std::string_view) {}));
      continue;
    }
    write_out((std::exchange(first_, false) ? "" : "\n") + prompt.text);
    write_text(loaded_.vocab, generator_, request_, write_out);
    write_out("\n");
  }
}

void TextWriter::write_lines(std::istream& in) {
  for (std::string line; stop_signal.load() == 0 && std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) write(line);
  }
}

void TextWriter::write_json(const std::string& prompt, const Written& written) {
  const nlohmann::ordered_json object = {{"prompt", prompt},
                                         {"text", written.text},
                                         {"tokens", written.tokens},
                                         {"log_probabilities", written.log_probabilities},
                                         {"ended_by", name_of(written.ending)},
                                         {"seconds", written.seconds},
                                         {"seed", request_.options.seed},
                                         {"sample", request_.sample},
                                         {"model", fingerprint_text(loaded_.checkpoint.state_hash())},
                                         {"step", loaded_.checkpoint.step()}};
  write_out(object.dump() + "\n");
}

}  // namespace zhgpt::cli
