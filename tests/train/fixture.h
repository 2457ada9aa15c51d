// Small models, small texts and directories of their own for the tests of src/train.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "support/temp_directory.h"
#include "zhgpt/trainer.h"

namespace zhgpt::test {

inline std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline TokenArray token_array(const std::vector<std::int32_t>& ids) {
  const std::vector<std::uint16_t> narrow(ids.begin(), ids.end());
  const auto bytes = std::as_bytes(std::span(narrow));
  return zhgpt::token_array(DType::u16, bytes);
}

// Ids that look like text from afar: each depends on the one before, with surprises, so that there is
// something to learn.
inline std::vector<std::int32_t> made_up_ids(std::int64_t count, std::int64_t vocab_size,
                                             std::uint32_t seed) {
  std::vector<std::int32_t> ids;
  std::uint32_t x = seed;
  std::int64_t id = 2;
  for (std::int64_t i = 0; i < count; ++i) {
    x = x * 1664525u + 1013904223u;
    id = (x >> 28) < 6 ? static_cast<std::int64_t>(x >> 8) : id * 5 + 3;
    id = 2 + id % (vocab_size - 2);
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

inline Vocabulary made_up_vocabulary(std::int64_t size) {
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int32_t id = 2; id < size; ++id) code_points.push_back(0x4E00 + id);
  return Vocabulary::from_code_points(code_points);
}

inline Dataset made_up_dataset(std::int64_t train, std::int64_t val, std::int64_t vocab_size) {
  Dataset dataset;
  dataset.vocab = made_up_vocabulary(vocab_size);
  dataset.train = token_array(made_up_ids(train, vocab_size, 1));
  dataset.val = token_array(made_up_ids(val, vocab_size, 2));
  dataset.fingerprint = 0x0123456789ABCDEF;
  return dataset;
}

// Two blocks, 24 characters, windows of 8, four a batch.
inline Config small_config() {
  Config config;
  config.model = {.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .vocab_size = 24};
  config.train.batch_size = 4;
  config.train.max_iters = 60;
  config.train.learning_rate = 1e-2;
  config.train.warmup_iters = 5;
  config.train.device = "cpu";
  return config;
}

// A Trainer with the backend and the data that it needs.
struct TrainerKit {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<Trainer> trainer;

  TrainerKit(const Config& config, Dataset data, int threads = 1)
      : backend(make_backend(config.train.device, threads)),
        dataset(std::make_unique<Dataset>(std::move(data))),
        trainer(std::make_unique<Trainer>(*backend, config, *dataset)) {}
  TrainerKit(const Checkpoint& from, Dataset data, int threads = 1)
      : TrainerKit(from, config_of(from), std::move(data), threads) {}
  TrainerKit(const Checkpoint& from, const Config& config, Dataset data, int threads)
      : backend(make_backend(config.train.device, threads)),
        dataset(std::make_unique<Dataset>(std::move(data))),
        trainer(std::make_unique<Trainer>(*backend, config, *dataset, from)) {}
  Trainer& operator*() const { return *trainer; }
  Trainer* operator->() const { return trainer.get(); }
};

// Loss and gradient norm of one step, as bits.
struct StepBits {
  std::int64_t step;
  std::uint32_t loss, grad_norm;
  bool operator==(const StepBits&) const = default;
};
inline void PrintTo(const StepBits& bits, std::ostream* out) {
  *out << "step " << bits.step << ": loss " << std::bit_cast<float>(bits.loss) << ", norm "
       << std::bit_cast<float>(bits.grad_norm);
}

inline void step_until(Trainer& trainer, std::int64_t step, std::vector<StepBits>* trace = nullptr) {
  while (trainer.steps_done() < step) {
    trainer.step();
    const StepState s = trainer.state();
    if (trace) {
      trace->push_back(
          {s.step, std::bit_cast<std::uint32_t>(s.loss), std::bit_cast<std::uint32_t>(s.grad_norm)});
    }
  }
}

inline std::vector<float> parameters_of(Trainer& trainer) {
  const Tensor flat = trainer.model().params();
  std::vector<float> values(static_cast<std::size_t>(flat.numel()));
  trainer.backend().download(values.data(), flat.data, flat.bytes());
  return values;
}

}  // namespace zhgpt::test
