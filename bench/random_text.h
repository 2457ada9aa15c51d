// A text of random ids to train on: to dense arithmetic all texts are one.
#pragma once

#include <cstdint>
#include <vector>

#include "zhgpt/dataset.h"
#include "zhgpt/rng.h"

namespace zhgpt {

// A vocabulary of V characters and a text of random ids in it.
inline Dataset random_dataset(std::int64_t V, std::int64_t count) {
  std::vector<std::int32_t> code_points{-1, -2};
  for (std::int64_t i = 2; i < V; ++i) code_points.push_back(static_cast<std::int32_t>(0x20000 + i));
  Dataset dataset;
  dataset.vocab = Vocabulary::from_code_points(code_points);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const PhiloxBlock r = random_block(1, RandomStream::split, 0, 0, static_cast<std::uint64_t>(i));
    ids[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(uniform_below(r[0], r[1], static_cast<std::uint64_t>(V)));
  }
  dataset.train = token_array(DType::u16, std::as_bytes(std::span(ids)));
  return dataset;
}

}  // namespace zhgpt
