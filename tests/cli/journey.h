// A tiny run, trained by the program itself in a new directory: what the journeys start from.
#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/process.h"

namespace zhgpt::test {

using Json = nlohmann::json;

class Journey : public testing::Test {
 protected:
  Journey() { std::filesystem::copy_file(sample_corpus(), corpus()); }

  std::string corpus() const { return temp_.file("corpus.txt"); }
  std::string run(const std::string& name = "") const {
    return temp_.file(name.empty() ? "run" : "run/" + name);
  }
  std::string file(const std::string& name) const { return temp_.file(name); }

  // train CORPUS -o `directory`, of a model so small that a thousand steps take about a second.
  Invocation training(const std::string& directory, std::int64_t steps,
                      std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train",       corpus(),          "-o",
                                          directory,     "--n-layer=1",     "--n-head=2",
                                          "--n-embd=16", "--block-size=16", "--batch-size=4",
                                          "--threads=1", "--max-iters",     std::to_string(steps)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return {.arguments = arguments};
  }
  // REQUIRES: no run yet. 30 steps with checkpoints at 10, 20 and 30.
  void train() const {
    const ProcessResult result = run_program(training(run(), 30, {"--save-interval=10"}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  // A run in `directory` whose model knows two documents by heart: one ends after 天地玄黄, the other goes
  // round, 日月日月…, and greedily never ends.
  void train_by_heart(const std::string& directory) const {
    std::string round, records;
    for (int i = 0; i < 40; ++i) round += "日月";
    for (int i = 0; i < 20; ++i) {
      for (const std::string& text : {std::string("天地玄黄"), round})
        records += Json{{"text", text}}.dump() + "\n";
    }
    write_file(file("by_heart.jsonl"), records);
    Invocation invocation = training(directory, 400, {"--learning-rate=1e-2", "--val-fraction=0"});
    invocation.arguments[1] = file("by_heart.jsonl");
    const ProcessResult result = run_program(invocation);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  ProcessResult call(std::vector<std::string> arguments) const {
    return run_program({.arguments = std::move(arguments)});
  }

  static Json inspect(const std::string& path) {
    const ProcessResult result = run_program({.arguments = {"inspect", path, "--json"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }

  static void damage(const std::string& path) {
    std::string bytes = read_file(path);
    ASSERT_GT(bytes.size(), 2000u);
    bytes[bytes.size() / 2] ^= 1;
    write_file(path, bytes);
  }

 private:
  TempDirectory temp_;
};

// Names of what differs between an earlier look at a directory and now.
inline std::vector<std::string> changes(std::map<std::string, std::string> before,
                                        const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : contents(directory)) {
    const auto found = before.find(name);
    if (found == before.end() || found->second != bytes) names.push_back(name);
    before.erase(name);
  }
  for (const auto& [name, bytes] : before) names.push_back(name);
  return names;
}

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace zhgpt::test
