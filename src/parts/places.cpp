#include "parts/places.h"

#include "zhgpt/error.h"
#include "zhgpt/key_values.h"
#include "zhgpt/messages.h"

namespace zhgpt {

std::string places_text(const std::vector<std::int64_t>& places) {
  std::string text;
  for (std::size_t i = 0; i < places.size();) {
    std::size_t last = i;
    while (last + 1 < places.size() && places[last + 1] == places[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(places[i]);
    if (last > i) text += "-" + std::to_string(places[last]);
    i = last + 1;
  }
  return text;
}

std::vector<std::int64_t> parse_places(std::string_view text, std::size_t count, std::int64_t end) {
  constexpr const char* kKey = "whole_places";
  const auto fail = [&] { return ConfigError(tr(Msg::split_bad_places, text.substr(0, 80), count, end)); };
  std::vector<std::int64_t> places;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view range = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), range.size() + 1));
    const std::size_t dash = range.find('-');
    const std::int64_t first = parse_integer(range.substr(0, dash), kKey);
    const std::int64_t last =
        dash == std::string_view::npos ? first : parse_integer(range.substr(dash + 1), kKey);
    if (first <= (places.empty() ? -1 : places.back()) || last < first || last >= end) throw fail();
    if (static_cast<std::uint64_t>(last - first) >= count - places.size()) throw fail();
    for (std::int64_t place = first; place <= last; ++place) places.push_back(place);
  }
  if (places.size() != count) throw fail();
  return places;
}

}  // namespace zhgpt
