#include "cli/variants.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <SimpleConverter.hpp>

#include "text/normalize.h"
#include "text/utf8.h"

namespace zhgpt::cli {
namespace {

// A conversion of OpenCC, read when it is first needed. Without its tables nothing is converted.
std::u32string converted(char32_t character, const char* conversion) {
  static std::map<std::string, std::unique_ptr<opencc::SimpleConverter>> converters;
  std::u32string out;
  try {
    std::unique_ptr<opencc::SimpleConverter>& converter = converters[conversion];
    if (!converter) converter = std::make_unique<opencc::SimpleConverter>(std::string(conversion) + ".json");
    std::string utf8;
    append_utf8(utf8, character);
    decode_utf8(converter->Convert(utf8), true, out);
  } catch (const std::exception&) {
    out.clear();
  }
  return out;
}

std::u32string compatible(char32_t character) {
  std::u32string out;
  TextCleaner cleaner(NormalForm::nfkc);
  cleaner.push(std::u32string_view(&character, 1), out);
  cleaner.finish(out);
  return out;
}

}  // namespace

std::u32string known_variant(char32_t character, const std::function<bool(char32_t)>& known) {
  const auto usable = [&](const std::u32string& form) {
    return !form.empty() && std::all_of(form.begin(), form.end(), known);
  };
  if (std::u32string form = compatible(character); usable(form)) return form;
  for (const char* conversion : {"t2s", "s2t", "tw2s", "hk2s", "s2tw", "s2hk", "jp2t", "t2jp"}) {
    if (std::u32string form = converted(character, conversion); usable(form)) return form;
  }
  return {};
}

}  // namespace zhgpt::cli
