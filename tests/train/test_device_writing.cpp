// Writing on a CUDA device, real or the host runtime's: what it chooses ahead beside what is chosen by hand,
// a row among others beside the row alone, logits beside the CPU's.
#include <algorithm>
#include <cmath>

#include "model/decoder.h"
#include "train/device_fixture.h"
#include "zhgpt/sampler.h"

namespace zhgpt {
namespace {

using test::take_order;

class WritingOnCuda : public test::OnCuda {};

// Rows of several lengths, one of them empty, past their windows; beside them the same by hand, token by
// token, on the same device.
TEST_P(WritingOnCuda, WritesAheadWhatIsChosenByHand) {
  ModelConfig model = config().model;
  model.n_layer = model.n_head = 1;
  model.n_embd = 32;
  const auto cuda = make_backend(config().train);
  Gpt gpt(*cuda, model, 1, Gpt::Purpose::inference, is_bf16() ? DType::bf16 : DType::f32);
  gpt.set_parameters(ParameterTable(model).initial_values(1));
  Generator ahead(gpt, 3), by_hand(gpt, 3);
  const auto ids = test::made_up_ids(40, model.vocab_size, 7);
  std::uint64_t samples[] = {5, 0, std::uint64_t{1} << 33};
  const auto start = [&](std::int64_t row, std::size_t length, std::uint64_t sample) {
    ahead.start(row, std::span(ids).first(length), sample);
    by_hand.start(row, std::span(ids).first(length), sample);
    samples[row] = sample;
  };
  const auto write = [&](int count, const SamplingOptions& options) {
    for (int i = 0; i < count; ++i) {
      const auto got = ahead.next_all(options);
      EXPECT_EQ(got[1], -1);
      for (const std::int64_t row : {0, 2}) {
        const auto text = by_hand.tokens(row);
        const std::int32_t want = choose_token(by_hand.logits(row), text, options, samples[row], text.size());
        ASSERT_EQ(got[static_cast<std::size_t>(row)], want) << i << ", row " << row;
        by_hand.append(want, row);
      }
    }
  };
  const SamplingOptions greedy{.temperature = 0, .repeat_penalty = 1.3, .no_repeat_ngram = 2};
  take_order(5);
  start(0, 0, 5);
  start(2, 17, 1);
  write(9, greedy);  // one window slides
  for (Generator* generator : {&ahead, &by_hand}) generator->undo(4, 2);
  write(14, greedy);  // and the other
  start(2, 3, std::uint64_t{1} << 33);
  write(4, {.temperature = 1, .top_k = 12, .repeat_penalty = 1.2});
  for (const std::int64_t row : {0, 2}) {
    const auto a = ahead.logits(row);
    const std::vector<float> logits(a.begin(), a.end());
    EXPECT_TRUE(std::ranges::equal(logits, by_hand.logits(row))) << row;
  }
  take_order(0);
}

TEST_P(WritingOnCuda, ARowsLogitsHaveTheSameBitsAmongOthers) {
  const ModelConfig model = config().model;
  const auto cuda = make_backend(config().train);
  Gpt gpt(*cuda, model, 1, Gpt::Purpose::inference, is_bf16() ? DType::bf16 : DType::f32);
  gpt.set_parameters(ParameterTable(model).initial_values(1));
  constexpr std::int64_t kRows = 5;
  Decoder together(gpt, kRows, WeightType::f32), alone(gpt, kRows, WeightType::f32);
  const auto ids = test::made_up_ids(40, model.vocab_size, 7);
  std::vector<std::int32_t> lengths;
  for (std::int64_t row = 0; row < kRows; ++row) {
    lengths.push_back(static_cast<std::int32_t>(3 * row));
    for (Decoder* decoder : {&together, &alone}) {
      if (row > 0) decoder->prefill(row, std::span(ids).first(static_cast<std::size_t>(3 * row)));
    }
  }
  for (int step = 0; step < 3; ++step) {
    const auto tokens = std::span(ids).subspan(static_cast<std::size_t>(step), kRows);
    together.decode(0, tokens, lengths);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      alone.decode(row, tokens.subspan(at, 1), std::span(lengths).subspan(at, 1));
      std::vector<float> a(static_cast<std::size_t>(model.vocab_size)), b = a;
      read_logits(*cuda, together.logits(row), a);
      read_logits(*cuda, alone.logits(row), b);
      EXPECT_EQ(a, b) << step << ", row " << row;
      EXPECT_NE(a[2], a[3]);
    }
    for (std::int32_t& length : lengths) ++length;
  }
}

// Every weight once for all rows; and as few launches as there are operations.
TEST_P(WritingOnCuda, ATokenIsOneWalkThroughTheWeights) {
  const ModelConfig model = config().model;
  const auto dry = make_dry_backend("cuda", 1, {}, std::int64_t{1} << 30);
  Gpt gpt(*dry, model, 1, Gpt::Purpose::inference, is_bf16() ? DType::bf16 : DType::f32);
  constexpr std::int64_t kRows = 3;
  Decoder decoder(gpt, kRows, WeightType::f32);
  const Buffer ints = dry->allocate(2 * kRows * 4, "test");
  const Tensor both(ints.data(), DType::i32, {2 * kRows});
  dry->take_launches();
  decoder.decode(both.rows(0, kRows), both.rows(kRows, kRows));
  const auto launches = dry->take_launches();
  EXPECT_EQ(static_cast<std::int64_t>(launches.size()), 7 * model.n_layer + 3);
  double bytes = 0;
  for (const auto& launch : launches) {
    if (std::string(launch.operation) == "LinearDecode") bytes += launch.bytes;
  }
  const std::int64_t C = model.n_embd, weights = model.n_layer * 12 * C * C + model.vocab_size * C;
  const double of_weights = static_cast<double>(weights * (is_bf16() ? 2 : 4));
  EXPECT_GE(bytes, of_weights);
  EXPECT_LE(bytes, 1.25 * of_weights);  // and inputs, outputs, biases
}

// Parameters that are no numbers: the device computes on in bounds, and the host is told.
TEST_P(WritingOnCuda, WhereTheLogitsLeaveNothingItSaysSo) {
  const ModelConfig model = config().model;
  const auto cuda = make_backend(config().train);
  Gpt gpt(*cuda, model, 1, Gpt::Purpose::inference, is_bf16() ? DType::bf16 : DType::f32);
  gpt.set_parameters(std::vector<float>(static_cast<std::size_t>(gpt.table().flat_size()), NAN));
  Generator generator(gpt, 2);
  generator.start(0, {}, 0);
  for (int i = 0; i < 2; ++i) EXPECT_THROW(generator.next_all({}), ConfigError);
  EXPECT_EQ(generator.tokens(0).size(), 1u);
}

// Two texts at once, past the window, taken back in between: beside the CPU's logits in double.
TEST_P(WritingOnCuda, WritesFromACacheWhatTheCpuWouldWrite) {
  const ModelConfig model = config().model;
  const auto values = ParameterTable(model).initial_values(1);
  const auto cpu = make_backend("cpu", 2), cuda = make_backend(config().train);
  Gpt exact(*cpu, model, 1, Gpt::Purpose::inference, DType::f64),
      ours(*cuda, model, 1, Gpt::Purpose::inference, is_bf16() ? DType::bf16 : DType::f32);
  for (Gpt* gpt : {&exact, &ours}) gpt->set_parameters(values);
  Generator want(exact, 2), got(ours, 2);
  const auto ids = test::made_up_ids(60, model.vocab_size, 7);
  // Logits are sums of 64 products of about 0.02; bf16 rounds what they are of to 8 bits, again and again.
  const double bound = is_bf16() ? 0.05 : 1e-4;
  const auto compare = [&](std::int64_t row) {
    const auto a = want.logits(row), b = got.logits(row);
    const auto [least, most] = std::minmax_element(a.begin(), a.end());
    ASSERT_GT(*most - *least, 0.1);
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_TRUE(std::abs(a[i] - b[i]) <= bound * (*most - *least)) << i << ": " << a[i] << " " << b[i];
    }
  };
  for (Generator* generator : {&want, &got}) {
    generator->start(0, {}, 0);
    generator->start(1, std::span(ids).first(17), 1);
  }
  for (std::size_t i = 0; i < 50; ++i) {
    for (std::int64_t row : {0, 1}) {
      compare(row);
      if (i == 30) {
        want.undo(12, row);
        got.undo(12, row);
        compare(row);
      }
      want.append(ids[i], row);
      got.append(ids[i], row);
    }
  }
  const auto chosen = got.next_all({.seed = 3});
  EXPECT_GT(chosen[0], 0);
  EXPECT_GT(chosen[1], 0);
  EXPECT_THROW(Generator(ours, 1, WeightType::int8), ConfigError);
}

ZHGPT_IN_BOTH_DTYPES(WritingOnCuda);

}  // namespace
}  // namespace zhgpt
