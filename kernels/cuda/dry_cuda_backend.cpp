// DryCudaBackend: the launches and the memory of a CUDA device that need not be there.
#include "cuda/dispatch.h"
#include "dry_backend.h"

namespace zhgpt {
namespace {

class DryCudaBackend final : public DryBackend {
 public:
  DryCudaBackend(const CudaOptions& options, std::int64_t memory_bytes)
      : DryBackend(memory_bytes),
        matmul_(cuda::make_matmul(options, true)),
        scratch_(stream_),
        context_{stream_, *matmul_, scratch_} {
    stream_.ledger = &ledger_;
  }

  std::string name() const override { return "cuda"; }
  bool computes_in(DType dtype) const override { return dtype == DType::f32 || dtype == DType::bf16; }
  std::vector<OperationCost> take_launches() override { return std::exchange(launches_, {}); }

 private:
  void zero_bytes(void* device, std::int64_t bytes) override {
    stream_.zero(device, static_cast<std::size_t>(bytes));
    book("zero");
  }
  // Addresses are counted up and never followed.
  void* allocate_bytes(std::int64_t bytes) override {
    constexpr std::int64_t kAlign = 256;
    const std::int64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
    return reinterpret_cast<void*>(std::exchange(next_address_, next_address_ + rounded));
  }
  void free_bytes(void*) noexcept override {}
  std::vector<MemoryUse> working_memory() const override {
    return {{"workspace of products", matmul_->workspace_bytes()}, {"scratch memory", scratch_.bytes()}};
  }

  // What was launched since the last time was for this operation.
  void book(const char* operation) {
    for (const cuda::LaunchRecord& record : ledger_.records()) {
      launches_.push_back({operation, record.cost.flops, record.cost.bytes, record.cost.arithmetic});
    }
    ledger_.clear();
  }

#define ZHGPT_EXECUTE(Op)               \
  void execute(const Op& op) override { \
    cuda::dispatch(context_, op);       \
    book(#Op);                          \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

  cuda::Ledger ledger_;
  std::vector<OperationCost> launches_;
  cuda::Stream stream_{cuda::Stream::Mode::dry};
  std::unique_ptr<cuda::Matmul> matmul_;
  cuda::Scratch scratch_;
  cuda::Context context_;
  std::intptr_t next_address_ = 256;
};

}  // namespace

std::unique_ptr<Backend> make_dry_cuda_backend(const CudaOptions& options, std::int64_t memory_bytes) {
  return std::make_unique<DryCudaBackend>(options, memory_bytes);
}

}  // namespace zhgpt
