// Config and KeyValues: what is written reads back, and nothing else is taken for it.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "zhgpt/config.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

// Every field at another value than its default.
Config unusual() {
  Config config;
  for (const ConfigField& field : config_fields()) {
    const ConfigField::Ref ref = field.ref(config);
    if (auto* const* integer = std::get_if<std::int64_t*>(&ref)) **integer += 1;
    if (auto* const* real = std::get_if<double*>(&ref)) **real = **real * 0.3 + 0.1;
    if (auto* const* yes = std::get_if<bool*>(&ref)) **yes = !**yes;
    if (auto* const* text = std::get_if<std::string*>(&ref)) {
      **text = field.choices ? std::string(field.choices).substr(std::string_view(field.choices).rfind('|') + 1)
                             : "唐诗 \"x\"\\\n\t\r" + std::string(field.name);
    }
  }
  config.model.n_embd = 130;  // 5 heads
  config.train.save_policy = "best+every:3";
  config.train.min_lr = 0.01;
  config.train.learning_rate = 0.1 + 0.2;  // 17 digits
  return config;
}

TEST(Config, RoundTripThroughText) {
  const Config config = unusual();
  const std::string text = config.to_key_values().to_string();
  const Config back = Config::from_key_values(KeyValues::parse(text, "test"));
  EXPECT_EQ(back.to_key_values().entries(), config.to_key_values().entries());
  EXPECT_EQ(back.train.learning_rate, 0.1 + 0.2);
  EXPECT_EQ(back.text.corpus, config.text.corpus);
  EXPECT_EQ(config.to_key_values().entries().size(), config_fields().size());
  const KeyValues standard = Config().to_key_values(), record = config.to_key_values();
  for (const auto& [key, value] : record.entries()) EXPECT_NE(value, standard.get(key)) << key;
}

TEST(Config, UnknownMissingAndDuplicateKeys) {
  KeyValues record = Config().to_key_values();
  const std::string text = record.to_string();
  EXPECT_NO_THROW(Config::from_key_values(record));
  record.set("n_layers", "3");
  EXPECT_THROW(Config::from_key_values(record), ConfigError);
  EXPECT_THROW(KeyValues::parse(text + "n_layer = 3\n", "test"), ConfigError);
  const std::size_t line = text.find("seed = ");
  const std::string without = text.substr(0, line) + text.substr(text.find('\n', line) + 1);
  EXPECT_THROW(Config::from_key_values(KeyValues::parse(without, "test")), ConfigError);
}

// S1-34, S1-35
TEST(SavePolicies, AreMadeOfKnownParts) {
  const SavePolicy standard = parse_save_policy(Config().train.save_policy);
  EXPECT_TRUE(standard.best && standard.last && standard.every == 0);
  const SavePolicy best_every = parse_save_policy("best+every:12");
  EXPECT_TRUE(best_every.best && !best_every.last && best_every.every == 12);
  EXPECT_EQ(parse_save_policy("every:0").every, 0);
  EXPECT_TRUE(parse_save_policy("last").last);
  for (const char* wrong : {"", "latest", "best+", "+last", "every", "every:", "every:-1", "every:x", "best last"}) {
    Config config;
    config.train.save_policy = wrong;
    EXPECT_THROW(config.validate(), ConfigError) << wrong;
  }
}

std::string error_of(std::string_view name, std::string_view value) {
  Config config;
  const auto before = config.to_key_values().entries();
  try {
    config.set(name, value);
  } catch (const ConfigError& error) {
    EXPECT_EQ(config.to_key_values().entries(), before);  // nothing half done
    return error.what();
  }
  return "";
}

TEST(Config, RangesAreInclusiveAndNamed) {
  for (const ConfigField& field : config_fields()) {
    if (field.lowest == field.highest) continue;
    EXPECT_EQ(error_of(field.name, to_text(field.lowest)), "") << field.name;
    const std::string low = error_of(field.name, to_text(std::floor(field.lowest) - 1));
    EXPECT_NE(low.find(field.name), std::string::npos) << low;
    EXPECT_NE(error_of(field.name, "10000000000000000"), "") << field.name;
  }
  for (const char* bad : {"", "x", "nan", "inf", "1e999", " 1", "1 "}) {
    EXPECT_NE(error_of("dropout", bad), "") << bad;
    EXPECT_NE(error_of("n-layer", bad), "") << bad;
  }
  EXPECT_NE(error_of("n_layer", "1.5"), "");
  EXPECT_NE(error_of("lr_schedule", "Cosine"), "");
  EXPECT_NE(error_of("lr_schedule", "cosine|linear"), "");
  EXPECT_NE(error_of("lr_schedule", ""), "");
  for (const char* bad : {"", "1", "yes", "True", "true|false"}) EXPECT_NE(error_of("deterministic", bad), "") << bad;
}

TEST(Config, Durations) {
  const auto time = [](std::string_view text) {
    Config config;
    config.set("max-time", text);
    return config.train.max_time;
  };
  EXPECT_EQ(time("90"), 90);
  EXPECT_EQ(time("90s"), 90);
  EXPECT_EQ(time("1.5m"), 90);
  EXPECT_EQ(time("2h"), 7200);
  for (const char* bad : {"s", "h", "1d", "1hh", "-1s", "1 h"}) EXPECT_NE(error_of("max_time", bad), "") << bad;
}

TEST(Config, AMistypedNameBringsTheNearest) {
  EXPECT_NE(error_of("n_layers", "3").find("n_layer"), std::string::npos);
  EXPECT_NE(error_of("learning-rat", "3").find("learning_rate"), std::string::npos);
  const std::vector<std::string> known{"seed", "epochs", "beta1", "beta2"};
  EXPECT_EQ(nearest_name("sead", known), "seed");
  EXPECT_EQ(nearest_name("epoch", known), "epochs");
  EXPECT_EQ(nearest_name("beta", known), "beta1");  // the first of equals
  EXPECT_EQ(nearest_name("temperature", known), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(Config, Presets) {
  Config config;
  config.train.seed = 5;
  config.apply_preset("gpt2");
  EXPECT_EQ(config.model.n_layer, 12);
  EXPECT_EQ(config.model.n_embd, 768);
  EXPECT_EQ(config.model.block_size, 1024);
  EXPECT_EQ(config.train.seed, 5);
  for (const char* name : {"micro", "tiny", "small", "gpt2"}) {
    config.apply_preset(name);
    EXPECT_NO_THROW(config.validate()) << name;
  }
  EXPECT_THROW(config.apply_preset("GPT2"), ConfigError);
}

TEST(Config, Validation) {
  Config config;
  config.model.n_head = 3;
  EXPECT_THROW(config.validate(), ConfigError);
  config = Config();
  config.train.min_lr = 1;
  EXPECT_THROW(config.validate(), ConfigError);
}

TEST(TomlQuoting, EveryByteReadsBackOnOneLine) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(toml_unquote(toml_quote(one)), one) << byte;
    all += one;
  }
  KeyValues record;
  record.set_quoted("all", all);
  EXPECT_EQ(record.to_string().find('\n'), record.to_string().size() - 1);
  EXPECT_EQ(KeyValues::parse(record.to_string(), "test").get_quoted("all"), all);
}

TEST(TomlQuoting, NothingElseIsAString) {
  for (const char* bad : {"", "\"", "x", "\"x", "x\"", "\"\\\"", "\"\"\"", "\"\\x\"", "\"\\u00\"", "\"\\u00g0\"",
                          "\"\\u00FF\"", "'x'"}) {
    EXPECT_THROW(toml_unquote(bad), ConfigError) << bad;
  }
}

TEST(Numbers, WholeTextOnly) {
  EXPECT_EQ(parse_integer("-9223372036854775808", "x"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse_integer("9223372036854775807", "x"), std::numeric_limits<std::int64_t>::max());
  for (const char* bad : {"", " 1", "1 ", "+1", "12abc", "0x10", "1e3", "1.0", "9223372036854775808", "-", "１"}) {
    EXPECT_THROW(parse_integer(bad, "x"), ConfigError) << bad;
  }
  EXPECT_EQ(parse_real("1e-3", "x"), 1e-3);
  EXPECT_EQ(parse_real("-0.5", "x"), -0.5);
  for (const char* bad : {"", "nan", "-nan", "inf", "-inf", "1e999", " 1", "1 ", "12abc", "0x10", "1,5", "+1"}) {
    EXPECT_THROW(parse_real(bad, "x"), ConfigError) << bad;
  }
}

TEST(KeyValues, RealsReadBackToTheSameBits) {
  for (double value : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e21, HUGE_VAL}) {
    KeyValues record;
    record.set_real("x", value);
    const double back = KeyValues::parse(record.to_string(), "test").get_real("x");
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back), std::bit_cast<std::uint64_t>(value)) << value;
  }
  KeyValues record;
  record.set_real("x", std::nan(""));  // the loss of a skipped step
  EXPECT_TRUE(std::isnan(record.get_real("x")));
}

TEST(KeyValues, Lines) {
  const KeyValues record = KeyValues::parse("# note\n\n a = 1 \r\nb=\"x = # y\"", "test");
  EXPECT_EQ(record.entries().size(), 2u);
  EXPECT_EQ(record.get_integer("a"), 1);
  EXPECT_EQ(record.get_quoted("b"), "x = # y");
  EXPECT_THROW(record.get("c"), ConfigError);
  EXPECT_THROW(record.get_integer("b"), ConfigError);
  for (const char* bad : {"a", "= 1", "A = 1", "a b = 1", "[a]"}) {
    EXPECT_THROW(KeyValues::parse(bad, "test"), ConfigError) << bad;
  }
}

}  // namespace
}  // namespace zhgpt
