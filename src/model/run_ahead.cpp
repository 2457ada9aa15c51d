#include "model/run_ahead.h"

#include <algorithm>
#include <cstring>

#include "model/arena.h"

namespace zhgpt {

RunAhead::RunAhead(Decoder& decoder, std::int64_t rows)
    : decoder_(decoder),
      backend_(decoder.backend()),
      places_(static_cast<std::size_t>(rows)),
      next_(static_cast<std::size_t>(rows)) {
  Arena arena;
  arena.add(samples_, DType::i64, {rows});
  for (Tensor* of_row : {&inputs_, &positions_, &lengths_, &chosen_}) arena.add(*of_row, DType::i32, {rows});
  arena.add(recent_, DType::i32, {rows, kSampleHistory});
  arena.add(written_, DType::i32, {rows, kTogether});
  memory_ = arena.allocate(backend_, "texts that go on");
  initial_.resize(static_cast<std::size_t>(memory_.bytes()));
  for (auto& readback : readbacks_) readback = backend_.make_readback(written_.bytes(), "tokens, read back");
}

void RunAhead::begin(std::span<const Text> texts, std::int64_t room, const SamplingOptions& options) {
  auto* samples = initial<std::uint64_t>(samples_);
  auto *inputs = initial<std::int32_t>(inputs_), *positions = initial<std::int32_t>(positions_),
       *lengths = initial<std::int32_t>(lengths_), *recent = initial<std::int32_t>(recent_);
  for (std::size_t b = 0; b < texts.size(); ++b) {
    const Text& text = texts[b];
    const auto n = static_cast<std::int64_t>(text.tokens.size());
    samples[b] = text.sample;
    places_[b] = n;
    positions[b] = static_cast<std::int32_t>(n);
    inputs[b] = n > 0 ? text.tokens.back() : 0;
    lengths[b] = static_cast<std::int32_t>(text.cached);
    std::int32_t* of_row = recent + static_cast<std::int64_t>(b) * kSampleHistory;
    for (std::int64_t at = std::max<std::int64_t>(0, n - kSampleHistory); at < n; ++at) {
      of_row[at % kSampleHistory] = text.tokens[static_cast<std::size_t>(at)];
    }
  }
  backend_.upload(memory_.data(), initial_.data(), memory_.bytes());
  if (!recording_ || options != options_) {
    options_ = options;
    recording_ = backend_.record([this] { compute(); });
  }
  room_ = room;
  launched_ = arrived_ = taken_ = 0;
}

void RunAhead::compute() {
  decoder_.decode(inputs_, lengths_);
  backend_.run(SampleTokens{.tokens = chosen_,
                            .logits = decoder_.logits(),
                            .recent = recent_,
                            .positions = positions_,
                            .samples = samples_,
                            .options = options_});
  backend_.run(AppendTokens{.inputs = inputs_,
                            .recent = recent_,
                            .written = written_,
                            .positions = positions_,
                            .lengths = lengths_,
                            .tokens = chosen_});
}

void RunAhead::launch() {
  const std::int64_t count = std::min(kTogether, room_ - launched_);
  for (std::int64_t i = 0; i < count; ++i) {
    backend_.observer() ? compute() : recording_->replay();  // an observer would see nothing of a graph
  }
  Readback& readback = *readbacks_[launched_ / kTogether % 2];
  readback.wait();  // where nobody took what was read back, its copy may be under way
  readback.start(written_.data);
  launched_ += count;
}

std::span<const std::int32_t> RunAhead::take() {
  if (taken_ == arrived_) {  // the next ones are launched before those are waited for
    while (launched_ < std::min(room_, arrived_ + 2 * kTogether)) launch();
    ring_ = static_cast<const std::int32_t*>(readbacks_[arrived_ / kTogether % 2]->wait());
    arrived_ = std::min(arrived_ + kTogether, room_);
  }
  ++taken_;
  for (std::size_t b = 0; b < next_.size(); ++b) {
    const std::int64_t place = places_[b]++;
    next_[b] = ring_[static_cast<std::int64_t>(b) * kTogether + place % kTogether];
  }
  return next_;
}

}  // namespace zhgpt
