// Normalisation is utf8proc's (Unicode Standard Annex #15); this file finds where a stream may be cut for it.
#include "text/normalize.h"

#include <utf8proc.h>

#include <vector>

#include "text/utf8.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

bool is_dropped(char32_t c) {
  if (c < 0x20) return c != U'\n' && c != U'\t';
  return (c >= 0x7F && c < 0xA0) || (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

// Characters that are their own normal form and never join what stands before them; most of any Chinese text.
bool is_inert(char32_t c, NormalForm form) {
  return c < 0xA0 || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3001 && c <= 0x3029) ||
         (form == NormalForm::nfc && (c < 0x300 || (c >= 0xFF01 && c <= 0xFF9D)));
}

// Inert, and neither dropped nor a carriage return: what Chinese text is made of.
bool is_plain(char32_t c, NormalForm form) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3001 && c <= 0x3029) || (c >= 0x20 && c < 0x7F) ||
         c == U'\n' || (form != NormalForm::nfkc && c >= 0xFF01 && c <= 0xFF9D);
}

utf8proc_option_t decomposition(NormalForm form) {
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                        (form == NormalForm::nfkc ? UTF8PROC_COMPAT : 0));
}

// True when nothing before `c` can change it or be changed by it: its decomposition begins with a starter
// that is never the second half of a composition. Such second halves are marks or medial and final Hangul
// letters.
bool is_boundary(char32_t c, NormalForm form) {
  utf8proc_int32_t parts[32];
  int unused = 0;
  const auto n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32, decomposition(form), &unused);
  if (n < 1) return false;
  const utf8proc_property_t* first = utf8proc_get_property(parts[0]);
  const bool is_mark = first->category == UTF8PROC_CATEGORY_MN || first->category == UTF8PROC_CATEGORY_MC ||
                       first->category == UTF8PROC_CATEGORY_ME;
  const bool joins_hangul = parts[0] >= 0x1160 && parts[0] <= 0x11FF;
  return first->combining_class == 0 && !is_mark && !joins_hangul;
}

}  // namespace

NormalForm normal_form(const std::string& name) {
  if (name == "none") return NormalForm::none;
  if (name == "nfc") return NormalForm::nfc;
  if (name == "nfkc") return NormalForm::nfkc;
  throw ConfigError(tr(Msg::text_choice, "normalize", name, "none, nfc, nfkc"));
}

bool is_blank(char32_t c) {
  return c == U' ' || c == U'\n' || c == U'\t' || c == 0x3000 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F;
}

void TextCleaner::push(std::u32string_view text, std::u32string& out) {
  while (!text.empty()) {
    // Most of a text needs nothing, but that the last character may yet be changed by what follows.
    std::size_t plain = 0;
    if (!line_ends_.after_cr()) {
      while (plain < text.size() && is_plain(text[plain], form_)) ++plain;
    }
    if (plain > 1) {
      flush_run(out);
      out.append(text, 0, plain - 1);
      text.remove_prefix(plain - 1);
    }
    char32_t c = text[0];
    text.remove_prefix(1);
    if (line_ends_.fold(c)) continue;
    if (is_dropped(c)) {
      ++dropped_;
    } else {
      push_character(c, out);
    }
  }
}

void TextCleaner::push_character(char32_t c, std::u32string& out) {
  if (form_ == NormalForm::none) {
    out += c;
    return;
  }
  if (!run_.empty() && (run_.size() == kLongestRun || is_inert(c, form_) || is_boundary(c, form_)))
    flush_run(out);
  run_ += c;
}

void TextCleaner::finish(std::u32string& out) {
  flush_run(out);
  line_ends_ = {};
}

void TextCleaner::flush_run(std::u32string& out) {
  if (run_.empty()) return;
  if (run_.size() == 1 && is_inert(run_[0], form_)) {
    out += run_[0];
    run_.clear();
    return;
  }
  std::string utf8;
  for (const char32_t c : run_) append_utf8(utf8, c);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  const auto size = static_cast<utf8proc_ssize_t>(utf8.size());
  // One character decomposes into at most 18 (Annex #15, section 9); sized for the worst run.
  std::vector<utf8proc_int32_t> characters(run_.size() * 18);
  auto n = utf8proc_decompose(bytes, size, characters.data(),
                              static_cast<utf8proc_ssize_t>(characters.size()), decomposition(form_));
  const auto compose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  if (n > 0) n = utf8proc_normalize_utf32(characters.data(), n, compose);
  if (n < 0) throw DataError(utf8proc_errmsg(n));
  for (utf8proc_ssize_t i = 0; i < n; ++i)
    out += static_cast<char32_t>(characters[static_cast<std::size_t>(i)]);
  run_.clear();
}

}  // namespace zhgpt
