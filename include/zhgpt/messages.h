// Everything the program says, in Chinese and English, from one table (include/zhgpt/messages/*.def).
//
// A message is an id with two texts; {0}, {1} … stand for its arguments. Which language is spoken is decided
// once, at the start, from --lang or the locale (LC_ALL, LC_MESSAGES, LANG); the library's default is
// English.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zhgpt {

enum class Lang { en, zh };

enum class Msg {
#define ZHGPT_MESSAGE(id, en, zh) id,
#include "zhgpt/messages/all.def"
#undef ZHGPT_MESSAGE
  kCount
};

void set_language(Lang lang);
Lang language();
Lang language_of_locale(std::string_view locale_name);  // "zh_CN.UTF-8" -> zh; anything else -> en

std::string_view message_text(Msg id, Lang lang);
// The message of this English text in the language spoken, or the text itself: for names that code gives
// things, as those of memory.
std::string spoken_name(std::string_view english);
std::string format_message(std::string_view text, const std::vector<std::string>& arguments);

inline std::string to_text(std::string text) {
  return text;
}
inline std::string to_text(std::string_view text) {
  return std::string(text);
}
inline std::string to_text(const char* text) {
  return text;
}
inline std::string to_text(bool value) {
  return value ? "true" : "false";
}
std::string to_text(double value);  // shortest that reads back equal
template <class Int>
requires std::is_integral_v<Int> std::string to_text(Int value) {
  return std::to_string(value);
}

// The message in the language spoken, with its arguments in place.
template <class... Args>
std::string tr(Msg id, const Args&... args) {
  return format_message(message_text(id, language()), {to_text(args)...});
}

}  // namespace zhgpt
