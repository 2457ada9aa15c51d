// Target: any text given to KeyValues::parse is refused with a ConfigError, or says the same when it is
// written and read again; and every value of it is of some kind or refused.
#include <cmath>
#include <fstream>

#include "fuzz/fuzz.h"
#include "zhgpt/error.h"
#include "zhgpt/key_values.h"

namespace zhgpt::fuzz {

void write_seeds(const std::string& directory) {
  std::ofstream(directory + "/all") << "# a comment\n\nn_layer = 2\nlearning_rate = 6e-4\nis_tied = "
                                       "true\ntext = \"正文 \\\"\\\\ \\t\\u4e2d\"\n";
  std::ofstream(directory + "/numbers")
      << "a = -0.0\nb = 1e308\nc = 9223372036854775807\nd = 0x10\ne = nan\nf = 1e999\n";
  std::ofstream(directory + "/twice") << "a = 1\na = 2\n";
  std::ofstream(directory + "/unfinished") << "a = \"\\u12";
}

template <class Get>
void expect_value_or_refusal(Get get) {
  try {
    get();
  } catch (const ConfigError&) {
  }
}

}  // namespace zhgpt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zhgpt;
  try {
    const auto record = KeyValues::parse({reinterpret_cast<const char*>(data), size}, "input");
    ZHGPT_REQUIRE(KeyValues::parse(record.to_string(), "again").entries() == record.entries());
    for (const auto& entry : record.entries()) {
      const std::string &key = entry.first, &value = entry.second;
      ZHGPT_REQUIRE(record.has(key) && record.get(key) == value);
      fuzz::expect_value_or_refusal([&] { record.get_integer(key); });
      fuzz::expect_value_or_refusal([&] {
        const double number = record.get_real(key);
        KeyValues written;
        written.set_real(key, number);
        ZHGPT_REQUIRE(written.get_real(key) == number || std::isnan(number));
      });
      fuzz::expect_value_or_refusal([&] {
        const std::string text = record.get_quoted(key);
        ZHGPT_REQUIRE(toml_unquote(toml_quote(text)) == text);
      });
    }
  } catch (const ConfigError&) {
  }
  return 0;
}
