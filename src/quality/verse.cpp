// Lines and rhymes. The rhymes are the fourteen of the Chinese New Rhymes (中华新韵，十四韵; 中华诗词学会,
// 2005): 麻波皆开微豪尤寒文唐庚齐支姑.
#include <numeric>

#include "zhgpt/quality.h"

namespace zhgpt {
namespace {

// A letter a character from U+4E00 to U+9FFF: 'a' for the first rhyme, '.' for none.
constexpr std::string_view kRhymes =
#include "quality/rhymes.inc"
    ;
constexpr char32_t kFirst = 0x4E00, kLast = 0x9FFF;
static_assert(kRhymes.size() == kLast - kFirst + 1);

bool is_han(char32_t c) {
  return (c >= 0x3400 && c <= 0x4DBF) || (c >= kFirst && c <= kLast) || c == U'〇' ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x323AF);
}
bool ends_sentence(char32_t c) {
  return c == U'。' || c == U'！' || c == U'？';
}
bool may_stand_before_the_end(char32_t c) {
  return std::u32string_view(U"》」』”）】").find(c) != std::u32string_view::npos;
}

}  // namespace

int rhyme_of(char32_t character) {
  if (character < kFirst || character > kLast) return 0;
  const char letter = kRhymes[character - kFirst];
  return letter == '.' ? 0 : letter - 'a' + 1;
}

Verse measure_verse(const std::vector<std::u32string>& texts) {
  Verse verse;
  for (const std::u32string& text : texts) {
    std::int64_t length = 0;
    char32_t end = 0;   // the Han character that a sentence would end with
    int previous = -1;  // the rhyme of the sentence before; -1 where there is none
    const auto end_line = [&] {
      if (length > 0) ++verse.lines[length];
      length = 0;
    };
    for (const char32_t c : text) {
      if (is_han(c)) {
        ++length;
        end = c;
        continue;
      }
      end_line();
      if (ends_sentence(c) && end != 0) {
        const int rhyme = rhyme_of(end);
        if (rhyme > 0) ++verse.ends[rhyme];
        if (rhyme > 0 && previous > 0) {
          ++verse.pairs;
          verse.rhymed += rhyme == previous;
        }
        previous = rhyme;
      }
      if (!may_stand_before_the_end(c)) end = 0;
    }
    end_line();
  }
  return verse;
}

std::int64_t Verse::line_count() const {
  return std::accumulate(lines.begin(), lines.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& line) { return sum + line.second; });
}

double Verse::line_share(std::int64_t characters) const {
  const auto found = lines.find(characters);
  return static_cast<double>(found == lines.end() ? 0 : found->second) / static_cast<double>(line_count());
}

double Verse::rhymed_share() const {
  return static_cast<double>(rhymed) / static_cast<double>(pairs);
}

double Verse::chance() const {
  double all = 0, squares = 0;
  for (const auto& [rhyme, count] : ends) {
    const auto n = static_cast<double>(count);
    all += n;
    squares += n * (n - 1);
  }
  return squares / (all * (all - 1));
}

}  // namespace zhgpt
