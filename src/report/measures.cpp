#include "report/measures.h"

#include <algorithm>
#include <span>

#include "text/utf8.h"

namespace zhgpt {
namespace {

std::u32string characters_of(const std::vector<std::int32_t>& ids, const Vocabulary& vocab) {
  std::u32string text;
  for (const std::int32_t id : ids) {
    const std::int32_t code_point = vocab.code_points()[static_cast<std::size_t>(id)];
    text += code_point < 0 ? kReplacementCharacter : static_cast<char32_t>(code_point);
  }
  return text;
}

std::string utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

}  // namespace

TextMeasures measure_texts(const std::vector<WrittenText>& texts, const Vocabulary& vocab,
                           const TokenArray& corpus) {
  TextMeasures m;
  m.texts = std::ssize(texts);
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::u32string> all;
  for (const WrittenText& text : texts) {
    ids.push_back(text.ids);
    const std::u32string& characters = all.emplace_back(characters_of(text.ids, vocab));
    m.characters += std::ssize(characters);
    const PairedMarks marks = count_paired_marks(characters, text.is_cut);
    m.marks.marks += marks.marks;
    m.marks.unpaired += marks.unpaired;
    if (const std::vector<Loop> loops = find_loops(characters); m.loop.empty() && !loops.empty())
      m.loop = utf8(std::u32string_view(characters).substr(loops[0].begin, loops[0].length));
  }
  m.copying = measure_copying(ids, corpus);
  if (m.copying.longest > 0) {
    m.longest_copied = utf8(std::u32string_view(all[m.copying.longest_text])
                                .substr(static_cast<std::size_t>(m.copying.longest_begin),
                                        static_cast<std::size_t>(m.copying.longest)));
  }
  for (std::size_t n = 1; n <= m.distinct.size(); ++n) m.distinct[n - 1] = distinct_share(all, n);
  m.looped = looped_share(all);
  m.verse = measure_verse(all);
  return m;
}

std::vector<WrittenText> first_texts(const TokenArray& tokens, std::int64_t characters, std::int64_t most) {
  std::vector<WrittenText> texts;
  WrittenText text;
  for (std::int64_t i = 0; i < tokens.count && characters > 0; ++i) {
    const bool ends = tokens[i] == kEndOfTextId;
    if (ends && !text.ids.empty()) texts.push_back(std::exchange(text, {}));
    if (ends) continue;
    if (std::ssize(text.ids) == most) {
      text.is_cut = true;
      continue;
    }
    text.ids.push_back(tokens[i]);
    --characters;
  }
  if (!text.ids.empty()) {
    text.is_cut = true;
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace zhgpt
