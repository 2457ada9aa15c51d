#include "cli/prompt.h"

#include <iostream>

#include "text/normalize.h"
#include "text/utf8.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

std::string normalized(const std::string& text, NormalForm form) {
  std::u32string characters, clean;
  const DecodeStep decoded = decode_utf8(text, true, characters);
  if (decoded.invalid > 0) throw DataError(tr(Msg::prompt_not_utf8, decoded.consumed));
  TextCleaner cleaner(form);
  cleaner.push(characters, clean);
  cleaner.finish(clean);
  std::string out;
  for (char32_t character : clean) append_utf8(out, character);
  return out;
}

}  // namespace

std::vector<std::int32_t> encode_prompt(const Vocabulary& vocab, const TextConfig& text,
                                        const std::string& prompt) {
  std::u32string unknown;
  std::vector<std::int32_t> ids = vocab.encode(normalized(prompt, normal_form(text.normalize)), &unknown);
  if (!unknown.empty()) {
    std::string names;
    for (char32_t character : unknown) {
      if (!names.empty()) names += ' ';
      append_utf8(names, character);
    }
    std::cerr << tr(Msg::unknown_in_prompt, names) << "\n";
  }
  return ids;
}

}  // namespace zhgpt::cli
