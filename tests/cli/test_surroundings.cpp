// One seed, one result: whatever fills freshly allocated memory, wherever the program is started, whatever
// the language and the time zone.
#include "cli/journey.h"

namespace zhgpt::test {
namespace {

// T12, T27 (the time zone)
TEST_F(Journey, MemoryPlaceLanguageAndTimeZoneDoNotMatter) {
  const auto hash_of = [&](const std::string& name, const std::map<std::string, std::string>& environment,
                           const std::string& directory = ".") {
    Invocation invocation = training(file(name), 30);
    invocation.environment = environment;
    invocation.directory = directory;
    const ProcessResult result = run_program(invocation);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return inspect(file(name))["state_hash"];
  };
  const Json plain = hash_of("plain", {});
  EXPECT_EQ(hash_of("zeros", {{"MALLOC_PERTURB_", "255"}}), plain);  // glibc fills with the complement
  EXPECT_EQ(hash_of("pattern", {{"MALLOC_PERTURB_", "90"}}), plain);
  EXPECT_EQ(hash_of("arenas", {{"MALLOC_ARENA_MAX", "1"}, {"MALLOC_TOP_PAD_", "4096"}}), plain);
  EXPECT_EQ(hash_of("elsewhere", {}, "/"), plain);
  EXPECT_EQ(hash_of("chinese", {{"LC_ALL", "zh_CN.UTF-8"}}), plain);
  EXPECT_EQ(hash_of("comma", {{"LC_ALL", "de_DE.UTF-8"}}), plain);
  EXPECT_EQ(hash_of("far", {{"TZ", "Pacific/Kiritimati"}}), plain);
  EXPECT_EQ(run_program(training(file("seed"), 30, {"--seed=2"})).exit_code, 0);
  EXPECT_NE(inspect(file("seed"))["state_hash"], plain) << "the comparison sees another training";
}

}  // namespace
}  // namespace zhgpt::test
