// Choosing on a device that is not the host, ahead of who asks: the texts are those that are chosen by hand,
// token by token, whatever happens in between, and nobody waits for a single token.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/run_ahead.h"
#include "support/fill.h"
#include "support/forwarding_backend.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

using Ids = std::vector<std::int32_t>;

// What the host asked of the device.
struct Traffic {
  std::int64_t replays = 0, moves = 0, waits = 0;
  std::int64_t fewest_under_way = 1000;  // replays launched behind what was waited for
};

// What was read back is not there before it was waited for.
class LateReadback final : public Readback {
 public:
  LateReadback(std::int64_t bytes, Traffic& traffic)
      : sent_(static_cast<std::size_t>(bytes)), arrived_(sent_.size()), traffic_(traffic) {}
  void start(const void* device) override {
    EXPECT_FALSE(is_under_way_);
    std::memcpy(sent_.data(), device, sent_.size());
    is_under_way_ = true;
    replays_before_ = traffic_.replays;
  }
  bool ready() override { return false; }
  const void* wait() override {
    if (is_under_way_) {
      ++traffic_.waits;
      traffic_.fewest_under_way = std::min(traffic_.fewest_under_way, traffic_.replays - replays_before_);
    }
    is_under_way_ = false;
    arrived_ = sent_;
    return arrived_.data();
  }

 private:
  std::vector<char> sent_, arrived_;
  Traffic& traffic_;
  bool is_under_way_ = false;
  std::int64_t replays_before_ = 0;
};

class CountedRecording final : public Recording {
 public:
  CountedRecording(std::unique_ptr<Recording> recording, Traffic& traffic)
      : recording_(std::move(recording)), traffic_(traffic) {}
  void replay() override {
    ++traffic_.replays;
    recording_->replay();
  }

 private:
  std::unique_ptr<Recording> recording_;
  Traffic& traffic_;
};

// A device that is not the host, but computes as the CPU does.
class Elsewhere final : public test::ForwardingBackend {
 public:
  explicit Elsewhere(bool is_host = false) : ForwardingBackend(make_backend("cpu", 1)), is_host_(is_host) {}
  Traffic traffic;

  bool reads_host_memory() const override { return is_host_; }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    ++traffic.moves;
    ForwardingBackend::upload(to, from, bytes);
  }
  void download(void* to, const void* from, std::int64_t bytes) override {
    ++traffic.moves;
    ForwardingBackend::download(to, from, bytes);
  }
  void synchronize() override { ++traffic.moves; }
  std::unique_ptr<Recording> record(std::function<void()> run) override {
    return std::make_unique<CountedRecording>(ForwardingBackend::record(std::move(run)), traffic);
  }
  std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char*) override {
    return std::make_unique<LateReadback>(bytes, traffic);
  }

 private:
#define ZHGPT_HAND_ON(Op)               \
  void execute(const Op& op) override { \
    cpu().run(op);                      \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_HAND_ON)
#undef ZHGPT_HAND_ON
  const bool is_host_;
};

const ModelConfig kConfigs[] = {
    {.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .vocab_size = 70},
    {.n_layer = 1, .n_head = 3, .n_embd = 21, .block_size = 61, .vocab_size = 37},
    {.n_layer = 1, .n_head = 1, .n_embd = 8, .block_size = 1, .vocab_size = 30},
};
const SamplingOptions kDefault, kGreedy{.temperature = 0, .repeat_penalty = 1.5, .repeat_last_n = 20},
    kPenalties{.temperature = 1.1,
               .top_k = 0,
               .repeat_last_n = -1,
               .presence_penalty = 0.3,
               .frequency_penalty = 0.2,
               .seed = 5},
    kNoRuns{.temperature = 1, .top_k = 3, .no_repeat_ngram = 2};

// The same model here and there.
struct Models {
  std::unique_ptr<Backend> cpu = make_backend("cpu", 1);
  Elsewhere device;
  Gpt here, there;
  explicit Models(const ModelConfig& config)
      : here(*cpu, config, 1, Gpt::Purpose::inference, DType::f32),
        there(device, config, 1, Gpt::Purpose::inference, DType::f32) {
    const auto values = test::random_reals(here.table().flat_size(), 1, 0.2);
    set({values.begin(), values.end()});
  }
  void set(const std::vector<float>& values) {
    here.set_parameters(values);
    there.set_parameters(values);
  }
};

// Two generators side by side: one chooses by itself, for the other it is done by hand.
struct Writers {
  Generator ahead, by_hand;
  std::vector<std::uint64_t> samples;
  std::vector<bool> is_active;
  Writers(Models& models, std::int64_t rows)
      : ahead(models.there, rows),
        by_hand(models.here, rows),
        samples(static_cast<std::size_t>(rows)),
        is_active(samples.size()) {}

  void start(std::int64_t row, const Ids& prompt, std::uint64_t sample) {
    ahead.start(row, prompt, sample);
    by_hand.start(row, prompt, sample);
    samples[static_cast<std::size_t>(row)] = sample;
    is_active[static_cast<std::size_t>(row)] = true;
  }
  void stop(std::int64_t row) {
    ahead.stop(row);
    by_hand.stop(row);
    is_active[static_cast<std::size_t>(row)] = false;
  }
  void undo(std::int64_t count, std::int64_t row) {
    ahead.undo(count, row);
    by_hand.undo(count, row);
  }
  void append(std::int32_t id, std::int64_t row) {
    ahead.append(id, row);
    by_hand.append(id, row);
  }
  void write(const SamplingOptions& options, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::span<const std::int32_t> got = ahead.next_all(options);
      for (std::size_t row = 0; row < samples.size(); ++row) {
        std::int32_t want = -1;
        if (is_active[row]) {
          const auto at = static_cast<std::int64_t>(row);
          const auto tokens = by_hand.tokens(at);
          want = choose_token(by_hand.logits(at), tokens, options, samples[row], tokens.size());
          by_hand.append(want, at);
        }
        ASSERT_EQ(got[row], want) << "token " << i << ", row " << row;
      }
    }
  }
  void expect_equal() {
    for (std::int64_t row = 0; row < ahead.rows(); ++row) {
      EXPECT_TRUE(std::ranges::equal(ahead.tokens(row), by_hand.tokens(row))) << row;
      if (!is_active[static_cast<std::size_t>(row)]) continue;
      const auto a = ahead.logits(row), b = by_hand.logits(row);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << row;
    }
  }
};

Ids some_text(const ModelConfig& config, std::int64_t length, std::uint32_t which) {
  return test::random_ids(length, 100 + which, config.vocab_size);
}

TEST(Ahead, RowsOfAnyLengthAreWrittenAsByHandPastTheirWindows) {
  for (const ModelConfig& config : kConfigs) {
    Models models(config);
    const std::int64_t T = config.block_size;
    for (const SamplingOptions& options : {kDefault, kGreedy, kPenalties, kNoRuns}) {
      Writers writers(models, 3);
      writers.start(0, {}, 3);
      writers.start(1, some_text(config, T + 5, 1), std::uint64_t{1} << 40);
      writers.start(2, some_text(config, T / 2, 2), 0);
      writers.write(options, 2 * T + 7);
      writers.expect_equal();
    }
  }
}

// More tokens than count for penalties and n-grams, so that those who came first are overwritten.
TEST(Ahead, TheTokensBeforeAreTheLastThatCount) {
  const ModelConfig& config = kConfigs[0];
  Models models(config);
  Writers writers(models, 2);
  writers.start(0, some_text(config, kSampleHistory - 7, 1), 0);
  writers.start(1, some_text(config, 2 * kSampleHistory + 3, 2), 1);
  writers.write(kPenalties, 30);
  const SamplingOptions no_repeat{.temperature = 0, .no_repeat_ngram = 1};
  writers.write(no_repeat, 30);
  writers.expect_equal();

  // What would be chosen but for a ban that goes back just so far.
  Ids prompt(static_cast<std::size_t>(kSampleHistory), 5);
  writers.start(0, prompt, 0);
  writers.stop(1);
  writers.write(no_repeat, 1);
  prompt[0] = writers.ahead.tokens().back();
  writers.start(0, prompt, 0);
  writers.write(no_repeat, 1);
  EXPECT_NE(writers.ahead.tokens().back(), prompt[0]);
  writers.write(no_repeat, 3);
}

TEST(Ahead, WhatHappensInBetweenChangesNothingElse) {
  const ModelConfig& config = kConfigs[1];
  Models models(config);
  Writers writers(models, 3);
  writers.start(0, {}, 0);
  writers.start(2, some_text(config, 40, 2), 2);  // row 1 waits
  writers.write(kDefault, 5);
  writers.undo(3, 0);
  writers.write(kDefault, 3);
  writers.append(7, 2);
  writers.append(8, 2);
  writers.write(kDefault, 6);
  writers.expect_equal();  // which asks for logits
  writers.write(kDefault, 2);
  SamplingOptions other = kDefault;
  other.seed = 9;
  writers.write(other, 3);
  writers.write(kGreedy, 2);
  writers.write(kDefault, 30);  // the window of row 2 slides
  writers.start(1, some_text(config, 12, 1), 7);
  writers.write(kDefault, 9);
  writers.stop(2);
  writers.write(kDefault, 9);
  writers.start(2, some_text(config, 3, 4), 11);  // another text, another sample
  writers.write(kDefault, 9);
  writers.undo(41, 0);  // back to where the window begins elsewhere
  writers.write(kDefault, 20);
  writers.expect_equal();
  writers.stop(0);
  writers.stop(1);
  writers.stop(2);
  writers.write(kDefault, 2);
  writers.start(1, {}, 0);
  writers.write(kDefault, 4);
  writers.expect_equal();
}

TEST(Ahead, UndoneAndWrittenAgainItIsTheSame) {
  Models models(kConfigs[0]);
  Generator generator(models.there);
  generator.start({}, 4);
  for (int i = 0; i < 30; ++i) generator.next(kDefault);
  const Ids text(generator.tokens().begin(), generator.tokens().end());
  for (const std::int64_t count : {1, 2, 5, 9, 30}) {
    generator.undo(count);
    for (std::int64_t i = 0; i < count; ++i) generator.next(kDefault);
    EXPECT_TRUE(std::ranges::equal(generator.tokens(), text)) << count;
  }
}

// The id whose embedding is NaN makes every logit of a text NaN that has it; in others it is not chosen.
TEST(Ahead, WhereTheLogitsLeaveNothingItSaysSoAndAppendsNothing) {
  const ModelConfig& config = kConfigs[1];
  Models models(config);
  constexpr std::int32_t kBad = 9;
  const ParameterSpec& wte = models.here.table().specs()[0];
  ASSERT_EQ(wte.name, "wte.weight");
  auto values = test::random_reals(models.here.table().flat_size(), 1, 0.2);
  std::fill_n(values.begin() + wte.offset + kBad * config.n_embd, config.n_embd, NAN);
  models.set({values.begin(), values.end()});
  for (Gpt* gpt : {&models.here, &models.there}) {
    Generator generator(*gpt, 2);
    generator.start(0, {}, 0);
    generator.start(1, Ids{5, kBad}, 1);
    const auto logits = generator.logits(0);
    const std::vector<float> before(logits.begin(), logits.end());
    for (int i = 0; i < 3; ++i) EXPECT_THROW(generator.next_all(kDefault), ConfigError);
    EXPECT_EQ(std::memcmp(generator.logits(0).data(), before.data(), before.size() * sizeof(float)), 0)
        << "those of what was computed ahead";
    EXPECT_EQ(generator.tokens(0).size(), 1u);
    EXPECT_EQ(generator.tokens(1).size(), 3u);
  }
  Writers writers(models, 2);
  writers.start(0, {}, 0);
  writers.start(1, Ids{5, kBad}, 1);
  EXPECT_THROW(writers.ahead.next_all(kDefault), ConfigError);
  writers.stop(1);
  writers.write(kDefault, 20);
  writers.start(1, Ids{6}, 1);
  writers.write(kDefault, 20);
  writers.append(kBad, 1);
  EXPECT_THROW(writers.ahead.next_all(kDefault), ConfigError);
}

TEST(Ahead, TheHostNeverWaitsForASingleToken) {
  const ModelConfig& config = kConfigs[1];
  Models models(config);
  Generator generator(models.there, 2);
  generator.start(0, {}, 0);
  generator.start(1, some_text(config, 3, 1), 1);
  generator.next_all(kDefault);
  Traffic& traffic = models.device.traffic;
  const std::int64_t before = traffic.replays;
  traffic.moves = traffic.waits = 0;
  constexpr std::int64_t kTokens = 40;  // within the window
  for (std::int64_t i = 0; i < kTokens; ++i) generator.next_all(kDefault);
  EXPECT_EQ(traffic.moves, 0);
  EXPECT_LE(traffic.waits, kTokens / RunAhead::kTogether + 1);
  EXPECT_GE(traffic.fewest_under_way, RunAhead::kTogether);  // when it waits, the device has more to do
  EXPECT_LE(traffic.replays, kTokens + 1 + 2 * RunAhead::kTogether);
  EXPECT_GE(traffic.replays - before, kTokens - 2 * RunAhead::kTogether);
}

// Where the device is the host there is nothing to run ahead of.
TEST(Ahead, TheHostItselfComputesNothingInAdvance) {
  const ModelConfig& config = kConfigs[1];
  Elsewhere host(true);
  Gpt gpt(host, config, 1, Gpt::Purpose::inference, DType::f32);
  Generator generator(gpt);
  generator.start({}, 0);
  for (int i = 0; i < 5; ++i) generator.next(kDefault);
  EXPECT_EQ(host.traffic.replays, 0);
}

}  // namespace
}  // namespace zhgpt
