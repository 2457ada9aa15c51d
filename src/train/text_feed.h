// The training text where GatherBatch finds it: whole on the device, or, where it is too long for that, as
// the windows of the steps just ahead, which the host cuts out and sends beside the step that is at work.
#pragma once

#include <cstdint>
#include <memory>

#include "zhgpt/backend.h"
#include "zhgpt/data_order.h"
#include "zhgpt/dataset.h"

namespace zhgpt {

class TextFeed {
 public:
  // To be made when all other large memory has been taken: the text may have half of what is left. REQUIRES:
  // `text` outlives it.
  TextFeed(Backend& backend, TokenArray& text, const DataOrder& order, std::int64_t samples_per_step);

  bool is_on_device() const { return tokens_.rank == 1; }
  const Tensor& tokens() const { return tokens_; }  // (n_tokens), or (samples of kSlots steps, T + 1)
  // Before the step that takes this batch is run. REQUIRES: batches follow each other by one, or all steps
  // before are done.
  void prepare(std::int64_t batch);

 private:
  Tensor text_;  // (n_tokens), on the host
  DataOrder order_;
  std::int64_t samples_per_step_;
  Buffer buffer_;
  Tensor tokens_;
  std::unique_ptr<Feed> feed_;  // where the text is not on the device
};

}  // namespace zhgpt
