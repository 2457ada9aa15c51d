#include "base/record_json.h"

#include <cmath>

namespace zhgpt {

Json record_json(const KeyValues& record) {
  Json out = Json::object();
  for (const auto& [key, value] : record.entries()) {
    if (value.starts_with('"')) {
      out[key] = toml_unquote(value);
    } else if (value == "true" || value == "false") {
      out[key] = value == "true";
    } else if (value.find_first_of(".en") == std::string::npos) {
      out[key] = record.get_integer(key);
    } else if (const double real = record.get_real(key); std::isfinite(real)) {
      out[key] = real;
    } else {
      out[key] = nullptr;
    }
  }
  return out;
}

}  // namespace zhgpt
