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
  Prompt prompt;
  for (char32_t c : clean) {
    const std::u32string form = known(c) ? std::u32string(1, c) : known_variant(c, known);
    read += form;
    if (form.empty())
      add_once(prompt.left_out, utf8({c}));
    else if (!known(c))
      add_once(prompt.replaced, utf8({c}) + "→" + utf8(form));
  }
  prompt.text = utf8(read);
  prompt.ids = vocab.encode(prompt.text);
  return prompt;
}

void say_notes(const Prompt& prompt) {
  if (!prompt.replaced.empty()) std::cerr << tr(Msg::prompt_replaced, joined(prompt.replaced)) << "\n";
  if (!prompt.left_out.empty()) std::cerr << tr(Msg::prompt_left_out, joined(prompt.left_out)) << "\n";
}

std::vector<std::int32_t> encode_prompt(const Vocabulary& vocab, const TextConfig& text,
                                        const std::string& typed) {
  const Prompt prompt = read_prompt(vocab, text, typed);
  say_notes(prompt);
  return prompt.ids;
}

}  // namespace zhgpt::cli
