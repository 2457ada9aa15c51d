// A small trained model with its moments, whole and cut into parts.
#pragma once

#include <string>
#include <vector>

#include "train/fixture.h"
#include "zhgpt/error.h"
#include "zhgpt/split.h"

namespace zhgpt::test {

constexpr std::int64_t kLayers = 5;

inline Config parts_config(std::int64_t seed = 1337) {
  Config config = small_config();
  config.model.n_layer = kLayers;
  config.train.seed = seed;
  return config;
}

// A checkpoint after a few steps.
inline std::string train_model(const std::string& path, std::int64_t seed = 1337) {
  TrainerKit kit(parts_config(seed), made_up_dataset(400, 40, 24));
  step_until(*kit, 3);
  save_checkpoint(path, kit->snapshot());
  return path;
}

class SplitModelTest : public testing::Test {
 protected:
  SplitModelTest() : whole_(Checkpoint::open(train_model(directory_.file("poem.bin")))) {}

  std::string path(Part part, const SplitPoints& at = {1, 3}, const std::string& base = "models") const {
    return split_model_path(directory_.file(base), "poem", part, at);
  }
  // Cuts and gives the three paths.
  std::array<std::string, 3> split(const SplitPoints& at = {1, 3}, const std::string& base = "models") const {
    std::array<std::string, 3> paths;
    for (Part part : kParts) {
      const std::string to = paths[static_cast<std::size_t>(part)] = path(part, at, base);
      save_part(to, whole_, part, at);
    }
    return paths;
  }

  TempDirectory directory_;
  Checkpoint whole_;
};

// What an action is refused with; "" when it is not.
template <class ErrorKind, class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const ErrorKind& error) {
    return error.what();
  }
  return "";
}

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace zhgpt::test
