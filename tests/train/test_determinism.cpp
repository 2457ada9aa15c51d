// One seed, one result: whatever the number of threads, the place, the language and the hour, whoever looks
// on, and however the clock jumps.
#include <clocale>
#include <ctime>
#include <locale>

#include "train/fixture.h"
#include "train/run_fixture.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

using test::Outcome;
using test::TrainerKit;

bool clock_jumps = false;
int asked_for_the_time = 0;
class ClockTest : public test::RunTest {};

constexpr std::int64_t kSteps = 12, kVocab = 200;

// Large enough that every operation has more than one thread's share of work.
Config config_of_seed(std::int64_t seed) {
  Config config = test::small_config();
  config.model = {
      .n_layer = 2, .n_head = 4, .n_embd = 32, .block_size = 16, .vocab_size = kVocab, .dropout = 0.1};
  config.train.batch_size = 6;
  config.train.gradient_accumulation_steps = 2;
  config.train.seed = seed;
  return config;
}

Dataset text() {
  return test::made_up_dataset(2000, 300, kVocab);
}

std::uint64_t hash_after_training(std::int64_t seed, int threads) {
  TrainerKit kit(config_of_seed(seed), text(), threads);
  test::step_until(*kit, kSteps);
  return state_hash(kit->snapshot());
}

// T12
TEST(Determinism, TheNumberOfThreadsDoesNotMatter) {
  const std::uint64_t one = hash_after_training(7, 1);
  for (int threads : {1, 2, 3, 4, 8}) EXPECT_EQ(hash_after_training(7, threads), one) << threads;
}

TEST(Determinism, AnotherSeedIsAnotherTraining) {
  const std::uint64_t seven = hash_after_training(7, 1);
  for (std::int64_t seed : {6, 8, 7 + (1 << 20)}) EXPECT_NE(hash_after_training(seed, 1), seven) << seed;
}

TEST(Determinism, BothHalvesOfTheSeedMatter) {
  EXPECT_NE(hash_after_training(7, 1), hash_after_training(7 + (std::int64_t{1} << 40), 1));
}

// Numbers with a decimal comma and groups, as a careless stream would write them.
struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

// Another directory, time zone and locale until the end of the scope.
class Elsewhere {
 public:
  explicit Elsewhere(const std::string& directory) : home_(std::filesystem::current_path()) {
    std::filesystem::current_path(directory);
    ::setenv("TZ", "Asia/Shanghai", 1);
    ::tzset();
    for (const char* name : {"zh_CN.UTF-8", "tr_TR.UTF-8", "de_DE.UTF-8"})
      std::setlocale(LC_ALL, name);  // if there
    cpp_ = std::locale::global(std::locale(std::locale(), new Comma));
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  ~Elsewhere() {
    std::filesystem::current_path(home_);
    ::unsetenv("TZ");
    ::tzset();
    std::locale::global(cpp_);
    std::setlocale(LC_ALL, "C");
  }

 private:
  std::filesystem::path home_;
  std::locale cpp_;
};

std::string saved_file(const std::string& path) {
  TrainerKit kit(config_of_seed(7), text(), 2);
  test::step_until(*kit, kSteps);
  kit->evaluations().best_val_loss = kit->evaluate(3).loss;  // a real number in the record
  save_checkpoint(path, kit->snapshot());
  return test::contents(path);
}

TEST(Determinism, DirectoryLocaleAndTimeZoneDoNotMatterToASingleByteOfTheFile) {
  const test::TempDirectory here, there;
  const std::string expected = saved_file(here.file("a.bin"));
  ASSERT_GT(expected.size(), 100000u);
  const Elsewhere elsewhere(there.path());
  EXPECT_EQ(saved_file("a.bin"), expected);
  const Checkpoint read = Checkpoint::open("a.bin");
  EXPECT_EQ(config_of(read).train.learning_rate, 1e-2);
  EXPECT_LT(read.progress().get_real("best_val_loss"), 10);
}

TEST(Determinism, LookingOnDoesNotMatter) {
  TrainerKit watched(config_of_seed(7), text(), 2);
  UncachedGenerator generator(watched->model());
  double last = 0;
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    test::step_until(*watched, step);
    const double loss = watched->evaluate(2).loss;
    EXPECT_NE(loss, last);  // it looks at the weights as they are now
    EXPECT_EQ(watched->evaluate(2).loss, loss);
    last = loss;
    generator.start({}, 0);
    for (int i = 0; i < 20; ++i) generator.next({.seed = 3});
    watched->snapshot();
  }
  EXPECT_EQ(state_hash(watched->snapshot()), hash_after_training(7, 2));
}

// T27: a run that is stopped and resumed while the clock goes forward, back, beyond 2038 and before 1970.
TEST_F(ClockTest, JumpsDoNotMatterToASingleByteOfACheckpoint) {
  EXPECT_EQ(run(), Outcome::finished);
  const std::string expected = test::contents(file("step_00000040.bin"));
  const auto names_before = names();
  kit_.reset();
  std::filesystem::remove_all(directory_.path());
  std::filesystem::create_directory(directory_.path());
  asked_for_the_time = 0;
  clock_jumps = true;
  EXPECT_EQ(run(20), Outcome::signalled);
  resume();  // the newest by its step, not by its time
  EXPECT_EQ((*kit_)->steps_done(), 20);
  EXPECT_EQ(run(), Outcome::finished);
  clock_jumps = false;
  EXPECT_GT(asked_for_the_time, 1);
  EXPECT_EQ(names(), names_before);
  const Checkpoint found = Checkpoint::open(file("step_00000040.bin"));
  write_text_file(file("expected"), expected);
  EXPECT_EQ(found.state_hash(), Checkpoint::open(file("expected")).state_hash());
  EXPECT_EQ(found.history(), Checkpoint::open(file("expected")).history());
}

}  // namespace
}  // namespace zhgpt

// In the place of libc's: the program asks for the time here.
extern "C" std::time_t time(std::time_t* out) noexcept {
  using namespace zhgpt;
  constexpr std::time_t kDay = 86400, kTimes[] = {1, -kDay, std::time_t{1} << 33, kDay, 0};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ++asked_for_the_time;
  const std::time_t told = clock_jumps ? kTimes[asked_for_the_time % 5] : now.tv_sec;
  if (out) *out = told;
  return told;
}
