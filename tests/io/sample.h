// Snapshots, files and directories for the tests of src/io.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/temp_directory.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

inline void put_file(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()),
                                              static_cast<std::streamsize>(bytes.size()));
}

template <class T>
TensorSource tensor(SectionKind kind, std::string name, DType dtype, std::vector<std::int64_t> shape, std::vector<T> values) {
  return {{kind, std::move(name), dtype, std::move(shape)}, [values](std::int64_t offset, std::span<std::byte> to) {
            std::memcpy(to.data(), reinterpret_cast<const char*>(values.data()) + offset, to.size());
          }};
}

// A parameter with its two moments, whose values depend on the step.
inline Snapshot sample_snapshot(std::int64_t step = 7, std::int64_t rows = 5) {
  Snapshot snapshot;
  snapshot.step = step;
  for (std::size_t i = 0; i < snapshot.run_id.size(); ++i) snapshot.run_id[i] = static_cast<std::uint8_t>(0xA0 + i);
  snapshot.config.set_integer("n_layer", 2);
  snapshot.config.set_quoted("text_field", "正文");
  snapshot.progress.set_real("best_loss", 3.25);
  snapshot.vocab = {-1, -2, 0x5929, 0x5730};
  snapshot.history = "{\"step\": 1, \"loss\": 5.5}\n{\"step\": 2, \"sample\": \"天地\"}\n";
  for (const SectionKind kind : {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}) {
    std::vector<float> values(static_cast<std::size_t>(rows * 3));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(step) + 0.5f * static_cast<float>(i) * static_cast<float>(kind);
    }
    snapshot.tensors.push_back(tensor(kind, "h.0.attn.c_attn.weight", DType::f32, {rows, 3}, values));
  }
  return snapshot;
}

// Why opening fails; "" when it does not.
inline std::string refusal(const std::string& path) {
  try {
    Checkpoint::open(path);
    return "";
  } catch (const CheckpointError& error) {
    return error.what();
  }
}

}  // namespace zhgpt::test
