#include "cli/chat_settings.h"

#include <algorithm>

#include "zhgpt/config.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {

std::string ChatSetting::text() const {
  return std::visit([](const auto* number) { return to_text(*number); }, value);
}

std::vector<ChatSetting> chat_settings(WriteRequest& request) {
  SamplingOptions& o = request.options;
  return {{"temperature", "温度", &o.temperature},
          {"top_k", "前几", &o.top_k},
          {"typical_p", "典型", &o.typical_p},
          {"top_p", "累积概率", &o.top_p},
          {"min_p", "最低概率", &o.min_p},
          {"repeat_penalty", "重复惩罚", &o.repeat_penalty},
          {"repeat_last_n", "重复范围", &o.repeat_last_n},
          {"presence_penalty", "出现惩罚", &o.presence_penalty},
          {"frequency_penalty", "频次惩罚", &o.frequency_penalty},
          {"no_repeat_ngram", "不重复字串", &o.no_repeat_ngram},
          {"max_chars", "字数", &request.max_characters}};
}

std::string change_setting(WriteRequest& request, const std::string& key_and_value) {
  const std::size_t end = key_and_value.find_first_of(" =");
  std::string key = key_and_value.substr(0, end);
  const std::size_t begin = end == std::string::npos ? end : key_and_value.find_first_not_of(" =", end);
  if (begin == std::string::npos) throw ConfigError(tr(Msg::chat_set_usage));
  const std::string text = key_and_value.substr(begin);
  std::replace(key.begin(), key.end(), '-', '_');

  WriteRequest changed = request;
  std::vector<std::string> names;
  for (const ChatSetting& setting : chat_settings(changed)) {
    names.insert(names.end(), {setting.name, setting.chinese});
    if (key != setting.name && key != setting.chinese) continue;
    if (double* const* real = std::get_if<double*>(&setting.value)) {
      **real = parse_real(text, setting.name);
    } else {
      *std::get<std::int64_t*>(setting.value) = parse_integer(text, setting.name);
    }
    changed.options.validate();
    if (changed.max_characters < 1) throw ConfigError(tr(Msg::chat_at_least_one, setting.name));
    request = changed;
    return std::string(setting.name) + " = " + setting.text();
  }
  const std::string nearest = nearest_name(key, names);
  throw ConfigError(nearest.empty() ? tr(Msg::chat_no_setting, key)
                                    : tr(Msg::chat_no_setting_hint, key, nearest));
}

}  // namespace zhgpt::cli
