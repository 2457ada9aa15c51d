#include "zhgpt/messages.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace zhgpt {
namespace {

struct Texts {
  std::string_view en, zh;
};
constexpr Texts kTexts[] = {
#define ZHGPT_MESSAGE(id, en, zh) {en, zh},
#include "zhgpt/messages/all.def"
#undef ZHGPT_MESSAGE
    {"", ""}};

Lang current_language = Lang::en;

}  // namespace

void set_language(Lang lang) {
  current_language = lang;
}
Lang language() {
  return current_language;
}
Lang language_of_locale(std::string_view locale_name) {
  return locale_name.starts_with("zh") ? Lang::zh : Lang::en;
}

std::string_view message_text(Msg id, Lang lang) {
  const Texts& texts = kTexts[static_cast<std::size_t>(id)];
  return lang == Lang::zh ? texts.zh : texts.en;
}

std::string spoken_name(std::string_view english) {
  const auto* found = std::find_if(std::begin(kTexts), std::end(kTexts),
                                   [&](const Texts& texts) { return texts.en == english; });
  return std::string(language() == Lang::en || found == std::end(kTexts) ? english : found->zh);
}

std::string format_message(std::string_view text, const std::vector<std::string>& arguments) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_slot = text[i] == '{' && i + 2 < text.size() && text[i + 2] == '}' && text[i + 1] >= '0' &&
                         static_cast<std::size_t>(text[i + 1] - '0') < arguments.size();
    if (is_slot) {
      out += arguments[static_cast<std::size_t>(text[i + 1] - '0')];
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string to_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

}  // namespace zhgpt
