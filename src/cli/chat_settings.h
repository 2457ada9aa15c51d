// What /set changes and /show shows: one table of the numbers in a request.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cli/writer.h"

namespace zhgpt::cli {

struct ChatSetting {
  const char* name;     // as the flag's, with underscores
  const char* chinese;  // the same in Chinese
  std::variant<double*, std::int64_t*> value;
  std::string text() const;
};
std::vector<ChatSetting> chat_settings(WriteRequest& request);

// "KEY VALUE" or "KEY=VALUE". Throws ConfigError, and then nothing has changed. Returns what it is now,
// "key = value".
std::string change_setting(WriteRequest& request, const std::string& key_and_value);

}  // namespace zhgpt::cli
