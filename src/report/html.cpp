#include "report/html.h"

#include <cmath>
#include <cstdio>

namespace zhgpt {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string element(const char* tag, std::string_view kind, std::string_view inner) {
  std::string out = std::string("<") + tag;
  if (!kind.empty()) out += " class=\"" + std::string(kind) + "\"";
  return out + ">" + std::string(inner) + "</" + tag + ">\n";
}

std::string paragraph(std::string_view kind, std::string_view text) {
  return element("p", kind, escaped(text));
}

std::string rounded(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share, int digits) {
  return rounded(100 * share, digits);
}

std::string brief(double value) {
  const bool is_large = std::abs(value) >= 1000;
  char text[64];
  std::snprintf(text, sizeof text, is_large ? "%.3gk" : "%.3g", is_large ? value / 1000 : value);
  return text;
}

}  // namespace zhgpt
