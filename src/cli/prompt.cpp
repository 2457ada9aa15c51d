#include "cli/prompt.h"

#include <algorithm>
#include <iostream>

#include "cli/variants.h"
#include "text/normalize.h"
#include "text/utf8.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

std::string utf8(const std::u32string& characters) {
  std::string out;
  for (char32_t c : characters) append_utf8(out, c);
  return out;
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}

}  // namespace

std::u32string characters_of(const std::string& typed) {
  std::u32string characters;
  const DecodeStep decoded = decode_utf8(typed, true, characters);
  if (decoded.invalid > 0) throw DataError(tr(Msg::prompt_not_utf8, decoded.consumed));
  return characters;
}

Prompt read_prompt(const Vocabulary& vocab, const TextConfig& text, const std::string& typed) {
  std::u32string clean, read;
  TextCleaner cleaner(normal_form(text.normalize));
  cleaner.push(characters_of(typed), clean);
  cleaner.finish(clean);
  const auto known = [&](char32_t c) { return vocab.id(c) != kUnknownId; };
  std::vector<std::string> replaced, left_out;
  for (char32_t c : clean) {
    const std::u32string form = known(c) ? std::u32string(1, c) : known_variant(c, known);
    read += form;
    if (form.empty())
      add_once(left_out, utf8({c}));
    else if (!known(c))
      add_once(replaced, utf8({c}) + "→" + utf8(form));
  }
  Prompt prompt{utf8(read), vocab.encode(utf8(read)), {}};
  if (!replaced.empty()) prompt.notes.push_back(tr(Msg::prompt_replaced, joined(replaced)));
  if (!left_out.empty()) prompt.notes.push_back(tr(Msg::prompt_left_out, joined(left_out)));
  return prompt;
}

std::vector<std::int32_t> encode_prompt(const Vocabulary& vocab, const TextConfig& text,
                                        const std::string& typed) {
  const Prompt prompt = read_prompt(vocab, text, typed);
  for (const std::string& note : prompt.notes) std::cerr << note << "\n";
  return prompt.ids;
}

}  // namespace zhgpt::cli
