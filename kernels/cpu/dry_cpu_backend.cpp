// DryCpuBackend: the memory that a run on the CPU would take.
#include <map>
#include <type_traits>

#include "cpu/dispatch.h"
#include "dry_backend.h"

namespace zhgpt {
namespace {

class DryCpuBackend final : public DryBackend {
 public:
  DryCpuBackend(int threads, std::int64_t memory_bytes) : DryBackend(memory_bytes), context_(threads, true) {}
  std::string name() const override { return "cpu"; }
  bool computes_in(DType dtype) const override { return dtype == DType::f32 || dtype == DType::f64; }
  std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char* what) override {
    return std::make_unique<DryReadback>(allocate(bytes, what));
  }

 private:
  // Only addresses: operations write all but a few numbers in tiles.
  void* allocate_bytes(std::int64_t bytes) override {
    HostMemory memory = take_addresses(static_cast<std::size_t>(bytes));
    void* data = memory.get();
    if (data) allocated_[data] = std::move(memory);
    return data;
  }
  void free_bytes(void* data) noexcept override { allocated_.erase(data); }
  std::vector<MemoryUse> working_memory() const override {
    return {{"scratch memory", context_.scratch_bytes()}};
  }

  // GatherBatch writes a whole batch, in no tiles, and needs no scratch memory.
#define ZHGPT_EXECUTE(Op)                                                        \
  void execute(const Op& op) override {                                          \
    if constexpr (!std::is_same_v<Op, GatherBatch>) cpu::dispatch(context_, op); \
  }
  ZHGPT_FOR_EACH_OP(ZHGPT_EXECUTE)
#undef ZHGPT_EXECUTE

  cpu::Context context_;
  std::map<void*, HostMemory> allocated_;
};

}  // namespace

std::unique_ptr<Backend> make_dry_cpu_backend(int threads, std::int64_t memory_bytes) {
  return std::make_unique<DryCpuBackend>(threads, memory_bytes);
}

}  // namespace zhgpt
