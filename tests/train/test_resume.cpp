// T11, T13: training interrupted anywhere and gone on with is, bit for bit, training that was never
// interrupted.
//
// The negative controls at the end plant the faults that such a comparison exists to find; each must be seen.
#include <cmath>
#include <map>

#include "train/poison.h"
#include "zhgpt/key_values.h"

namespace zhgpt {
namespace {

using test::StepBits;
using test::TrainerKit;

constexpr std::int64_t kSteps = 40;

struct Outcome {
  std::vector<StepBits> trace;
  std::uint64_t hash = 0;
};

struct Setting {
  std::int64_t accumulation, windows;
  double dropout = 0.2;
  auto operator<=>(const Setting&) const = default;
};

Config config_with(const Setting& setting) {
  Config config = test::small_config();
  config.model.dropout = setting.dropout;
  config.train.gradient_accumulation_steps = setting.accumulation;
  return config;
}

// 80 windows: an epoch is exactly 20 steps of 4 samples, or 5 steps of 16. With `windows` 83 an epoch ends
// inside a batch.
Dataset text_of(std::int64_t windows) {
  return test::made_up_dataset((windows + 1) * 8 + 4, 40, 24);
}

const Outcome& uninterrupted(const Setting& setting) {
  static std::map<Setting, Outcome> known;
  auto [it, is_new] = known.try_emplace(setting);
  if (is_new) {
    TrainerKit kit(config_with(setting), text_of(setting.windows));
    test::step_until(*kit, kSteps, &it->second.trace);
    it->second.hash = state_hash(kit->snapshot());
  }
  return it->second;
}

using Tamper = std::function<void(Snapshot&)>;

// Trains, stops after each of `stops` and goes on from a file of this format, each time with another number
// of threads.
Outcome interrupted(const Setting& setting, const std::vector<std::int64_t>& stops,
                    const std::string& format = "bin", const Tamper& tamper = {}) {
  constexpr int kThreads[] = {1, 3, 2, 8};
  const test::TempDirectory directory;
  const std::string file = directory.file("state." + format);
  Outcome outcome;
  auto kit = std::make_unique<TrainerKit>(config_with(setting), text_of(setting.windows), 1);
  std::size_t part = 0;
  for (std::int64_t stop : stops) {
    test::step_until(**kit, stop, &outcome.trace);
    Snapshot snapshot = (*kit)->snapshot();
    if (tamper) tamper(snapshot);
    save_checkpoint(file, snapshot, true);
    kit.reset();
    kit =
        std::make_unique<TrainerKit>(Checkpoint::open(file), text_of(setting.windows), kThreads[++part % 4]);
  }
  test::step_until(**kit, kSteps, &outcome.trace);
  outcome.hash = state_hash((*kit)->snapshot());
  return outcome;
}

struct Case {
  Setting setting;
  std::vector<std::int64_t> stops;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << "accumulation " << c.setting.accumulation << ", windows " << c.setting.windows << ", dropout "
       << c.setting.dropout << ", stops";
  for (std::int64_t stop : c.stops) *out << ' ' << stop;
}

class Resume : public ::testing::TestWithParam<std::tuple<const char*, Case>> {};

// S1-26, T11: stopped once, at a few places (the chain of ten among them), in every format.
TEST_P(Resume, EveryStepAndTheEndAreTheSameToTheBit) {
  const auto& [format, c] = GetParam();
  const Outcome& expected = uninterrupted(c.setting);
  const Outcome got = interrupted(c.setting, c.stops, format);
  ASSERT_EQ(expected.trace.size(), static_cast<std::size_t>(kSteps));
  EXPECT_EQ(got.trace, expected.trace);
  EXPECT_EQ(got.hash, expected.hash);
}

INSTANTIATE_TEST_SUITE_P(
    At, Resume,
    ::testing::Combine(::testing::Values("bin", "json", "mpk", "safetensors"),
                       ::testing::Values(Case{{1, 80}, {0}}, Case{{1, 80}, {1}}, Case{{1, 80}, {2}},
                                         Case{{1, 80}, {7}}, Case{{1, 80}, {19}}, Case{{1, 80}, {20}},
                                         Case{{1, 80}, {21}}, Case{{1, 80}, {39}}, Case{{1, 80, 0}, {7}},
                                         Case{{4, 80}, {1}}, Case{{4, 80}, {2}}, Case{{4, 80}, {7}},
                                         Case{{4, 80}, {19}}, Case{{4, 80}, {20}}, Case{{4, 80}, {21}},
                                         Case{{4, 80}, {39}}, Case{{4, 80, 0}, {7}}, Case{{1, 83}, {20}},
                                         Case{{1, 83}, {21}}, Case{{4, 83}, {5}},
                                         Case{{1, 80}, {1, 2, 4, 7, 12, 19, 20, 21, 30, 39}},
                                         Case{{4, 83}, {4, 5, 6, 30, 31, 38}}, Case{{1, 83}, {20, 20, 20}})));

TEST(ResumeSetting, TheEpochBoundariesAreWhereTheCasesSay) {
  TrainerKit one(config_with({1, 80}), text_of(80)), four(config_with({4, 80}), text_of(80)),
      odd(config_with({1, 83}), text_of(83));
  EXPECT_EQ(one->epoch_after(19), 0);
  EXPECT_EQ(one->epoch_after(20), 1);
  EXPECT_EQ(four->epoch_after(19), 3);
  EXPECT_EQ(four->epoch_after(20), 4);
  EXPECT_EQ(odd->epoch_after(20), 0);  // 80 of 83 samples
  EXPECT_EQ(odd->epoch_after(21), 1);
}

// ---- negative controls
// ----------------------------------------------------------------------------------------

constexpr Setting kSetting{1, 80};

// Changes the floats of every tensor of these kinds on their way into the file.
Tamper floats(std::vector<SectionKind> kinds,
              std::function<float(const std::string&, std::size_t, float)> change) {
  return [=](Snapshot& snapshot) {
    for (TensorSource& tensor : snapshot.tensors) {
      if (std::find(kinds.begin(), kinds.end(), tensor.info.kind) == kinds.end()) continue;
      tensor.read = [=, name = tensor.info.name, read = tensor.read](std::int64_t offset,
                                                                     std::span<std::byte> to) {
        read(offset, to);
        for (std::size_t i = 0; i + 4 <= to.size(); i += 4) {
          float value;
          std::memcpy(&value, to.data() + i, 4);
          value = change(name, static_cast<std::size_t>(offset) / 4 + i / 4, value);
          std::memcpy(to.data() + i, &value, 4);
        }
      };
    }
  };
}

const std::vector<SectionKind> kWeights{SectionKind::parameter},
    kMoments{SectionKind::adam_m, SectionKind::adam_v};

void expect_seen(const Tamper& tamper) {
  const Outcome& expected = uninterrupted(kSetting);
  const Outcome got = interrupted(kSetting, {30}, "bin", tamper);
  EXPECT_NE(got.trace, expected.trace);
  EXPECT_NE(got.hash, expected.hash);
}

// S1-26, T13
TEST(ResumeControl, WithoutAFaultThisWayOfChangingAFileChangesNothing) {
  const Outcome got =
      interrupted(kSetting, {30}, "bin", floats(kWeights, [](auto&, std::size_t, float x) { return x; }));
  EXPECT_EQ(got.hash, uninterrupted(kSetting).hash);
  EXPECT_EQ(got.trace, uninterrupted(kSetting).trace);
}

// S1-26, T13
TEST(ResumeControl, OneWeightOffByOneUlpIsSeen) {
  expect_seen(floats(kWeights, [](const std::string& name, std::size_t i, float x) {
    return name == "h.0.attn.c_attn.weight" && i == 5 ? std::nextafter(x, 10.0f) : x;
  }));
}

TEST(ResumeControl, ADroppedBatchIsSeen) {
  expect_seen([](Snapshot& snapshot) {
    ++snapshot.step;
    snapshot.progress.set_integer("step", snapshot.step);
  });
}

TEST(ResumeControl, ARepeatedBatchIsSeen) {
  expect_seen([](Snapshot& snapshot) {
    --snapshot.step;
    snapshot.progress.set_integer("step", snapshot.step);
  });
}

// S1-26, T13
TEST(ResumeControl, TwoBatchesThatChangePlacesAreSeen) {
  test::PoisonedKit kit(config_with(kSetting), text_of(80), {.batch = [](std::int64_t b) {
                          return b == 30 ? 31 : b == 31 ? 30 : b;
                        }});
  std::vector<StepBits> trace;
  test::step_until(*kit.trainer, kSteps, &trace);
  EXPECT_NE(trace, uninterrupted(kSetting).trace);
  EXPECT_NE(state_hash(kit->snapshot()), uninterrupted(kSetting).hash);
}

TEST(ResumeControl, ForgottenMomentsAreSeen) {
  expect_seen(floats(kMoments, [](auto&, std::size_t, float) { return 0.0f; }));
}

// S1-26, T13
TEST(ResumeControl, AForgottenUpdateCountIsSeen) {  // Adam's bias correction
  expect_seen([](Snapshot& snapshot) { snapshot.progress.set_integer("updates", 0); });
}

// S1-26, T13
TEST(ResumeControl, WeightsInHalfPrecisionAreSeen) {
  expect_seen(floats(kWeights, [](auto&, std::size_t, float x) {  // 11 significant bits
    int exponent = 0;
    const float mantissa = std::frexp(x, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(mantissa, 11)), exponent - 11);
  }));
}

}  // namespace
}  // namespace zhgpt
