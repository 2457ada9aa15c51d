// Decoders: the strict UTF-8 of utf8.h, and iconv for everything else.
#include <iconv.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "text/encoding.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

std::string upper_case(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

class Utf8Decoder : public Decoder {
 public:
  DecodeStep decode(std::string_view in, bool last, std::u32string& out) override {
    return decode_utf8(in, last, out);
  }
};

class IconvDecoder : public Decoder {
 public:
  explicit IconvDecoder(const std::string& encoding) {
    constexpr bool is_little = std::endian::native == std::endian::little;
    // A slash would add iconv's own options, such as leaving out what is invalid without a word.
    const bool is_name = !encoding.empty() && encoding.find('/') == std::string::npos;
    if (is_name) descriptor_ = iconv_open(is_little ? "UTF-32LE" : "UTF-32BE", encoding.c_str());
    if (descriptor_ == kNone) throw ConfigError(tr(Msg::unknown_encoding, encoding));
    const std::string name = upper_case(encoding);
    unit_bytes_ = name.starts_with("UTF-16") ? 2 : name.starts_with("UTF-32") ? 4 : 1;
  }
  IconvDecoder(const IconvDecoder&) = delete;
  IconvDecoder& operator=(const IconvDecoder&) = delete;
  ~IconvDecoder() override { iconv_close(descriptor_); }

  DecodeStep decode(std::string_view in, bool last, std::u32string& out) override {
    std::string_view rest = in;
    while (!rest.empty()) {
      const int error = convert(&rest, out);
      if (error == EILSEQ) return {in.size() - rest.size(), std::min(unit_bytes_, rest.size())};
      if (error == EINVAL) return {in.size() - rest.size(), last ? rest.size() : 0};
    }
    if (last) convert(nullptr, out);  // of a Big5-HKSCS code that stands for two characters, the second
    return {in.size(), 0};
  }

 private:
  // One call of iconv: 0, or errno. `rest` loses what was read; nullptr asks for what iconv still holds.
  int convert(std::string_view* rest, std::u32string& out) {
    char32_t buffer[1024];
    char* to = reinterpret_cast<char*>(buffer);
    std::size_t room = sizeof buffer;
    char* from = rest ? const_cast<char*>(rest->data()) : nullptr;  // iconv only reads it
    std::size_t left = rest ? rest->size() : 0;
    const std::size_t result = iconv(descriptor_, rest ? &from : nullptr, rest ? &left : nullptr, &to, &room);
    const int error = result == static_cast<std::size_t>(-1) && errno != E2BIG ? errno : 0;
    if (rest) rest->remove_prefix(rest->size() - left);
    out.append(buffer, (sizeof buffer - room) / sizeof(char32_t));
    return error;
  }

  static inline const iconv_t kNone = reinterpret_cast<iconv_t>(-1);
  iconv_t descriptor_ = kNone;
  std::size_t unit_bytes_ = 1;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const std::string& encoding) {
  const std::string name = upper_case(encoding);
  if (name == "UTF-8" || name == "UTF8") return std::make_unique<Utf8Decoder>();
  return std::make_unique<IconvDecoder>(encoding);
}

}  // namespace zhgpt
