// Operations as one CUDA graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "cuda/context.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {

// The first replay runs the operations one by one: scratch memory grows and products look for their
// algorithms then. The second captures them, and from then on a replay is one launch. A graph knows where
// scratch memory was: when other operations have moved it since, or there was none left, all begins anew.
class GraphRecording final : public Recording {
 public:
  GraphRecording(Context& context, std::function<void()> operations);
  ~GraphRecording() override;
  void replay() override;

 private:
  void capture();
  void release() noexcept;

  Context& context_;
  std::function<void()> operations_;
  bool warm_ = false;
  cudaGraphExec_t graph_ = nullptr;
  const void* scratch_ = nullptr;  // as it was found by the last operations run
};

// Copies through page-locked memory and an event.
class EventReadback final : public Readback {
 public:
  EventReadback(Stream& stream, std::int64_t bytes);
  ~EventReadback() override;
  void start(const void* device) override;
  bool ready() override;
  const void* wait() override;

 private:
  Stream& stream_;
  std::size_t bytes_;
  void* host_ = nullptr;
  cudaEvent_t arrived_ = nullptr;
};

}  // namespace zhgpt::cuda
