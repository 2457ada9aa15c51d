// RunAhead: tokens are chosen on the device, some of them before the host asks, so that it never waits for
// the host: one token of all rows is one recording, and what was written is read back kTogether tokens at a
// time while the next ones are computed.
//
// A choice is a function of the text before it, the seed, the sample and the place alone: what was computed
// ahead and is not wanted can be thrown away and computed again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/decoder.h"
#include "zhgpt/sampling.h"

namespace zhgpt {

class RunAhead {
 public:
  static constexpr std::int64_t kTogether = 4;  // and as many again on their way: up to 8 tokens ahead

  // A text that goes on; without tokens there is none, and the row is computed but nothing comes of it.
  struct Text {
    std::span<const std::int32_t> tokens;
    std::int64_t cached = 0;  // of the last tokens but one, so many are in the row's cache
    std::uint64_t sample = 0;
  };

  RunAhead(Decoder& decoder, std::int64_t rows);

  // From now on `take` goes on with these texts, one a row, `room` tokens at most, chosen by `options`.
  void begin(std::span<const Text> texts, std::int64_t room, const SamplingOptions& options);
  // Can `take` be asked for tokens that `options` choose?
  bool goes_on(const SamplingOptions& options) const { return taken_ < room_ && options == options_; }
  // What is not taken yet is not wanted.
  void stop() { room_ = 0; }
  // The next token of each row (rows), kNoToken where the logits leave none; of rows without a text anything.
  // Valid until the next call. REQUIRES: goes_on.
  std::span<const std::int32_t> take();

 private:
  template <class T>
  T* initial(const Tensor& tensor) {  // its place in initial_
    const auto* begin = static_cast<const std::byte*>(memory_.data());
    return reinterpret_cast<T*>(initial_.data() + (static_cast<const std::byte*>(tensor.data) - begin));
  }
  void compute();  // one token more of each row, as operations
  void launch();   // the next kTogether, or what room there is

  Decoder& decoder_;
  Backend& backend_;
  SamplingOptions options_;
  std::unique_ptr<Recording> recording_;  // of compute() with these options
  // Of all rows at once: tokens written, and where the next one goes.
  Buffer memory_;
  Tensor samples_;                       // (rows) i64
  Tensor inputs_, positions_, lengths_;  // (rows) i32
  Tensor recent_, written_;              // (rows, kSampleHistory), (rows, kTogether) i32
  Tensor chosen_;                        // (rows) i32
  std::vector<std::byte> initial_;       // what `begin` makes of memory_
  std::unique_ptr<Readback> readbacks_[2];
  // Tokens of each row since `begin`.
  std::int64_t room_ = 0, launched_ = 0, arrived_ = 0, taken_ = 0;
  const std::int32_t* ring_ = nullptr;  // those that arrived last, as written_
  std::vector<std::int64_t> places_;    // of the next token to be taken in each text
  std::vector<std::int32_t> next_;
};

}  // namespace zhgpt
