// Training learns, evaluation counts right, and a run that diverges stops without harm.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "train/fixture.h"
#include "zhgpt/error.h"
#include "zhgpt/sampler.h"
#include "zhgpt/training_run.h"

namespace zhgpt {
namespace {

using test::TrainerKit;

// ---- learning
// -------------------------------------------------------------------------------------------------

constexpr const char* kPoem = "床前明月光，疑是地上霜。举头望明月，低头思故乡。";  // 李白《静夜思》

Dataset poem_dataset() {
  CharacterCounts counts;
  for (char32_t c : U"床前明月光，疑是地上霜。举头望明月，低头思故乡。") {
    if (c) ++counts[c];
  }
  Dataset dataset;
  dataset.vocab = Vocabulary::build(counts, 1);
  std::vector<std::int32_t> ids = dataset.vocab.encode(kPoem);
  ids.insert(ids.begin(), kEndOfTextId);
  ids.push_back(kEndOfTextId);
  dataset.train = dataset.val = test::token_array(ids);
  return dataset;
}

TEST(Learning, OnePoemIsLearntByHeart) {
  Dataset dataset = poem_dataset();
  Config config;
  config.model = {
      .n_layer = 2, .n_head = 2, .n_embd = 32, .block_size = 25, .vocab_size = dataset.vocab.size()};
  ASSERT_EQ(dataset.train.count, 26);
  config.train.batch_size = 1;
  config.train.max_iters = 250;
  config.train.learning_rate = 1e-2;
  TrainerKit kit(config, std::move(dataset), 1);
  const double uniform = std::log(static_cast<double>(config.model.vocab_size));
  EXPECT_NEAR(kit->evaluate(0).loss, uniform, 0.1);  // before anything is learnt
  test::step_until(*kit, 250);
  EXPECT_LT(kit->state().loss, 0.05f);
  EXPECT_LT(kit->evaluate(0).loss, 0.05);

  UncachedGenerator generator(kit->model());
  generator.start({}, 0);
  std::vector<std::int32_t> ids;
  for (std::int32_t id; ids.size() < 100 && (id = generator.next({.temperature = 0})) != kEndOfTextId;)
    ids.push_back(id);
  EXPECT_EQ(kit->vocab().decode(ids), kPoem);
}

// ---- evaluation
// -----------------------------------------------------------------------------------------------

class Evaluation : public ::testing::Test {
 protected:
  static constexpr std::int64_t T = 8, V = 24;
  Evaluation() : model_(*backend_, config(), 4, Gpt::Purpose::inference) {
    std::vector<float> values = model_.table().initial_values(5);
    for (float& value : values) value *= 20;  // opinions strong enough that every token's loss is its own
    model_.set_parameters(values);
  }
  static ModelConfig config() {
    return {.n_layer = 1, .n_head = 2, .n_embd = 16, .block_size = T, .vocab_size = V};
  }

  std::vector<float> logits_after(std::span<const std::int32_t> ids) {
    const auto t = static_cast<std::int64_t>(ids.size());
    backend_->upload(model_.inputs(1, t).data, ids.data(), t * 4);
    std::vector<float> logits(V);
    backend_->download(logits.data(), model_.last_logits(1, t).data, V * 4);
    return logits;
  }
  // Loss of the target after `ids`, from the logits alone, in double.
  double loss_of(std::span<const std::int32_t> ids, std::int32_t target) {
    const std::vector<float> logits = logits_after(ids);
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
    return top + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(target)]);
  }
  // Sum of the losses of the tokens in (start, start + width], each predicted from `start` on.
  double window(const std::vector<std::int32_t>& ids, std::int64_t start, std::int64_t width) {
    double sum = 0;
    for (std::int64_t t = 0; t < width; ++t) {
      sum += loss_of(std::span(ids).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(t + 1)),
                     ids[static_cast<std::size_t>(start + t + 1)]);
    }
    return sum;
  }

  std::unique_ptr<Backend> backend_ = make_backend("cpu", 1);
  Gpt model_;
};

TEST_F(Evaluation, EveryTokenButTheFirstCountsOnce) {
  for (std::int64_t count : {2, 3, 8, 9, 10, 16, 17, 18, 33, 40, 75}) {
    const std::vector<std::int32_t> ids = test::made_up_ids(count, V, 9);
    double expected = 0;
    for (std::int64_t start = 0; start < count - 1; start += T) {
      expected += window(ids, start, std::min(T, count - 1 - start));
    }
    for (std::int64_t max_batch : {1, 3, 4}) {
      const EvaluationResult got = evaluate_tokens(model_, max_batch, test::token_array(ids), 0);
      EXPECT_EQ(got.tokens, count - 1) << count;
      EXPECT_NEAR(got.loss, expected / static_cast<double>(count - 1), 1e-5)
          << count << " in batches of " << max_batch;
    }
  }
}

TEST_F(Evaluation, EachTokenIsToldInOrderWithItsLossAndRank) {
  const std::vector<std::int32_t> ids = test::made_up_ids(75, V, 9);
  std::int64_t next = 1, first = 0, among_five = 0;
  const EvaluationResult got = evaluate_tokens(
      model_, 3, test::token_array(ids), 0, [&](std::int64_t index, double loss, std::int32_t rank) {
        ASSERT_EQ(index, next++);
        const std::int64_t start = (index - 1) / T * T;
        const auto context =
            std::span(ids).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(index - start));
        const std::int32_t target = ids[static_cast<std::size_t>(index)];
        EXPECT_NEAR(loss, loss_of(context, target), 1e-4) << index;
        const std::vector<float> logits = logits_after(context);
        const float own = logits[static_cast<std::size_t>(target)];
        EXPECT_EQ(rank, std::ranges::count_if(logits, [&](float logit) { return logit > own; })) << index;
        first += rank == 0;
        among_five += rank < 5;
      });
  EXPECT_EQ(next, 75);
  EXPECT_GT(among_five, first);
  EXPECT_DOUBLE_EQ(got.accuracy, static_cast<double>(first) / 74);
  EXPECT_DOUBLE_EQ(got.accuracy_5, static_cast<double>(among_five) / 74);
}

TEST_F(Evaluation, FewerWindowsAreSpreadOverTheText) {
  const std::vector<std::int32_t> ids = test::made_up_ids(10 * T + 4, V, 9);
  const EvaluationResult got = evaluate_tokens(model_, 4, test::token_array(ids), 5);
  EXPECT_EQ(got.tokens, 5 * T);
  double expected = 0;
  for (std::int64_t place : {0, 2, 4, 6, 8}) expected += window(ids, place * T, T);
  EXPECT_NEAR(got.loss, expected / (5 * T), 1e-5);
  const EvaluationResult all = evaluate_tokens(model_, 4, test::token_array(ids), 10);
  EXPECT_EQ(all.tokens, 10 * T + 3);
}

TEST_F(Evaluation, NothingToPredict) {
  EXPECT_EQ(evaluate_tokens(model_, 4, test::token_array({}), 0).tokens, 0);
  EXPECT_EQ(evaluate_tokens(model_, 4, test::token_array({3}), 0).tokens, 0);
  EXPECT_EQ(evaluate_tokens(model_, 4, test::token_array({3}), 0).loss, 0);
}

TEST(EvaluationOfATrainer, WithoutValidationTextThereIsNoNumber) {
  TrainerKit kit(test::small_config(), test::made_up_dataset(200, 0, 24));
  EXPECT_FALSE(kit->has_validation());
  EXPECT_TRUE(std::isnan(kit->evaluate(10).loss));
}

TEST(TrainerMaking, ATextShorterThanOneWindowIsRefused) {
  EXPECT_THROW(TrainerKit(test::small_config(), test::made_up_dataset(8, 0, 24)), DataError);
  TrainerKit shortest(test::small_config(), test::made_up_dataset(9, 0, 24));
  test::step_until(*shortest, 3);
  EXPECT_TRUE(std::isfinite(shortest->state().loss));
}

// ---- divergence
// -----------------------------------------------------------------------------------------------

class Quiet : public RunObserver {
 public:
  void on_step(const StepReport&, bool) override {}
  void on_evaluation(const EvaluationReport&) override {}
  void on_saved(const std::string& path) override { saved.push_back(path); }
  void on_sample(const std::string&) override {}
  void on_note(const std::string& text) override { notes.push_back(text); }
  std::vector<std::string> notes, saved;
};

void put_nan(Trainer& trainer) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  trainer.backend().upload(trainer.model().param_tensors().ln_f_bias.data, &nan, sizeof nan);
}

TEST(Divergence, AStepWithoutAFiniteLossChangesNothingButTheCount) {
  TrainerKit kit(test::small_config(), test::made_up_dataset(600, 60, 24));
  test::step_until(*kit, 4);
  put_nan(*kit);
  const auto bits = [&] {
    std::vector<std::uint32_t> out;
    for (float value : test::parameters_of(*kit)) out.push_back(std::bit_cast<std::uint32_t>(value));
    for (const TensorSource& tensor : kit->snapshot().tensors) {  // moments
      std::vector<std::uint32_t> values(static_cast<std::size_t>(tensor.info.bytes() / 4));
      tensor.read(0, std::as_writable_bytes(std::span(values)));
      out.insert(out.end(), values.begin(), values.end());
    }
    return out;
  };
  const auto before = bits();
  test::step_until(*kit, 7);
  EXPECT_EQ(bits(), before);
  const StepState s = kit->state();
  EXPECT_EQ(s.step, 7);
  EXPECT_EQ(s.updates, 4);
  EXPECT_EQ(s.skipped, 3);
  EXPECT_EQ(s.skipped_in_a_row, 3);
  EXPECT_TRUE(std::isnan(s.loss));

  const float zero = 0;  // well again: the count in a row begins anew
  kit->backend().upload(kit->model().param_tensors().ln_f_bias.data, &zero, sizeof zero);
  test::step_until(*kit, 8);
  EXPECT_EQ(kit->state().updates, 5);
  EXPECT_EQ(kit->state().skipped, 3);
  EXPECT_EQ(kit->state().skipped_in_a_row, 0);
  EXPECT_NE(bits(), before);
}

void expect_diverged(TrainerKit& kit, std::int64_t skipped) {
  const test::TempDirectory directory;
  Quiet observer;
  const std::atomic<int> signal{0};
  TrainingRun run(*kit, directory.path(), observer);
  EXPECT_THROW(run.run(signal), DivergedError);
  EXPECT_EQ(kit->state().skipped_in_a_row, skipped);
  EXPECT_EQ(observer.notes.size(), static_cast<std::size_t>(skipped - 1));  // a warning for each but the last
  EXPECT_TRUE(observer.saved.empty());
}

TEST(Divergence, FiveStepsInARowEndTheRun) {
  TrainerKit kit(test::small_config(), test::made_up_dataset(600, 60, 24));
  put_nan(*kit);
  expect_diverged(kit, 5);
  EXPECT_EQ(kit->steps_done(), 5);
}

// One step of 1e30 leaves finite weights with which nothing finite can be computed.
Config hopeless() {
  Config config = test::small_config();
  config.train.learning_rate = 1e30;
  config.train.warmup_iters = 0;
  config.train.grad_clip = 0;
  return config;
}

TEST(Divergence, AHugeLearningRateEndsTheRunWithFiniteWeights) {
  TrainerKit kit(hopeless(), test::made_up_dataset(600, 60, 24));
  expect_diverged(kit, 5);
  for (float value : test::parameters_of(*kit)) ASSERT_TRUE(std::isfinite(value));
}

TEST(Divergence, AStateSavedAfterASkippedStepCanBeResumed) {
  TrainerKit kit(test::small_config(), test::made_up_dataset(600, 60, 24));
  test::step_until(*kit, 2);
  kit->model().set_parameters(
      std::vector<float>(static_cast<std::size_t>(kit->model().table().flat_size()), 1e30f));
  test::step_until(*kit, 3);
  ASSERT_TRUE(std::isnan(kit->state().loss));
  const test::TempDirectory directory;
  save_checkpoint(directory.file("state.bin"), kit->snapshot());
  TrainerKit resumed(Checkpoint::open(directory.file("state.bin")), test::made_up_dataset(600, 60, 24));
  EXPECT_EQ(resumed->state().skipped_in_a_row, 1);
  EXPECT_EQ(resumed->state().skipped, 1);
  EXPECT_TRUE(std::isnan(resumed->state().loss));
}

}  // namespace
}  // namespace zhgpt
