// zhgpt selftest from outside: the table, JSON, exit codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/process.h"

namespace zhgpt::test {
namespace {

TEST(SelftestVerb, PrintsALineForEachOperationAndShape) {
  const ProcessResult result = run_program({.arguments = {"selftest", "--device", "cpu", "--quick"}});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto lines = std::count(result.out.begin(), result.out.end(), '\n');
  EXPECT_NE(result.err.find("All " + std::to_string(lines - 1) + " lines are within their bounds."),
            std::string::npos)
      << result.err;
  EXPECT_GT(lines, 60);
}

TEST(SelftestVerb, SaysTheSameInJson) {
  const ProcessResult result =
      run_program({.arguments = {"selftest", "--device=cpu", "--dtype=fp32", "--quick", "--json"}});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["wrong"], 0);
  EXPECT_EQ(json["device"].get<std::string>().find("cpu"), 0u);
  bool found = false;
  for (const auto& line : json["lines"]) {
    EXPECT_EQ(line["ok"], true);
    EXPECT_EQ(line["us"], 0);
    EXPECT_LE(line["error"].get<double>(), line["bound"].get<double>());
    found |= line["name"] == "AttentionBackward" && line["shape"] == "B3 T37 NH3 HS24";
  }
  EXPECT_TRUE(found);
}

TEST(SelftestVerb, RefusesWhatItCannotDo) {
  const ProcessResult bf16 = run_program({.arguments = {"selftest", "--device=cpu", "--dtype=bf16"}});
  EXPECT_EQ(bf16.exit_code, 2) << bf16.err;
  const ProcessResult dtype = run_program({.arguments = {"selftest", "--device=cpu", "--dtype=f8"}});
  EXPECT_EQ(dtype.exit_code, 2);
  EXPECT_NE(dtype.err.find("fp32|tf32|bf16"), std::string::npos) << dtype.err;
  EXPECT_EQ(run_program({.arguments = {"selftest", "--device=cuda:99"}}).exit_code, 6);
}

}  // namespace
}  // namespace zhgpt::test
