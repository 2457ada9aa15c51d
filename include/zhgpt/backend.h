// Backend: where tensors live and where operations run. One contract, one implementation per kind of device.
//
// The contract of each operation is its struct in ops.h. `run` checks it once, for every backend, and then
// calls the backend's own code; an operation that a backend does not implement does not compile. Calls may be
// asynchronous: results are visible to the host after `synchronize` or `download`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zhgpt/cards.h"
#include "zhgpt/error.h"
#include "zhgpt/observer.h"
#include "zhgpt/ops.h"

namespace zhgpt {

class Backend;

// Owns one allocation of a backend's memory, aligned to 256 bytes and zeroed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend* backend, void* data, std::int64_t bytes) : backend_(backend), data_(data), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { release(); }

  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  void release() noexcept;
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// Operations that are run again and again as they are. A CUDA backend captures them once and replays them as
// one graph.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void replay() = 0;
};

// A copy of device memory to the host that nobody waits for.
class Readback {
 public:
  virtual ~Readback() = default;
  // Copies what the memory holds after all that was run before. REQUIRES: no copy is under way.
  virtual void start(const void* device) = 0;
  virtual bool ready() = 0;        // the copy started last has arrived
  virtual const void* wait() = 0;  // the copied bytes, until the next start
};

// Device memory that the host fills ahead of the operations that read it: two slots, sent in turn. A slot is
// copied while what was run since the other one was sent is still at work.
class Feed {
 public:
  static constexpr std::int64_t kSlots = 2;
  virtual ~Feed() = default;
  // Where the host is to write what goes into the slot next; waits until what it wrote there before has left.
  virtual void* begin(std::int64_t slot) = 0;
  // Starts the copy. What is run from now on reads the slot as it was written. REQUIRES: nothing run since
  // the other slot was sent reads this one.
  virtual void send(std::int64_t slot) = 0;
};

// Device memory as it was at one moment, copied within the device, which is quick. Another thread reads it
// while operations go on.
class DeviceCopy {
 public:
  static constexpr std::int64_t kPieces = 2;  // of the host's memory, where the device is not the host
  virtual ~DeviceCopy() = default;
  // Copies what the memory holds after all that was run before. REQUIRES: nobody reads.
  virtual void take() = 0;
  // Any thread, one at a time: bytes of the copy taken last, in which the tensors stand one after another.
  // From front to back is fastest, since the next piece is then under way. Throws DeviceError.
  virtual void read(std::int64_t offset, std::span<std::byte> to) = 0;
};

// What memory is taken for.
struct MemoryUse {
  std::string what;
  std::int64_t bytes = 0;
};

class OutOfMemory : public DeviceError {
 public:
  OutOfMemory(const std::string& what, std::int64_t bytes);
  const MemoryUse& wanted() const { return wanted_; }

 private:
  MemoryUse wanted_;
};

// What some operations took, and what their launches are booked for: arithmetic, and the bytes that must be
// moved at least. A backend that keeps no books leaves all but `ms` at 0.
struct Measured {
  double ms = 0;
  std::int64_t launches = 0;
  double flops = 0, bytes = 0;
};

#define ZHGPT_FOR_EACH_OP(X)  \
  X(GatherBatch)              \
  X(EmbeddingForward)         \
  X(EmbeddingBackward)        \
  X(LayerNormForward)         \
  X(ResidualLayerNormForward) \
  X(LayerNormBackward)        \
  X(DropoutBackward)          \
  X(LinearForward)            \
  X(LinearBackwardInput)      \
  X(LinearBackwardWeight)     \
  X(AttentionForward)         \
  X(AttentionBackward)        \
  X(EmbeddingDecode)          \
  X(CacheKeysValues)          \
  X(AttentionDecode)          \
  X(LinearDecode)             \
  X(PackWeight)               \
  X(PackedLinear)             \
  X(HeadLoss)                 \
  X(SampleTokens)             \
  X(AppendTokens)             \
  X(BeginStep)                \
  X(AccumulateLoss)           \
  X(GlobalNorm)               \
  X(AdamW)                    \
  X(AdvanceStep)

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu, 2 threads"
  virtual bool computes_in(DType dtype) const = 0;
  // Nothing is computed and no memory taken, on a device that need not exist: what a run takes can be read
  // off in advance. Contents are unspecified.
  virtual bool is_dry() const { return false; }
  // Operations read any memory of this process, not only what was got from `allocate`.
  virtual bool reads_host_memory() const { return false; }
  // PackWeight and PackedLinear are there, and the faster way for few rows.
  virtual bool packs_weights() const { return false; }

  // Throws OutOfMemory, naming `what` and its size, when memory does not suffice.
  Buffer allocate(std::int64_t bytes, const char* what);
  // All that is allocated, oldest first, and at last what operations work in.
  std::vector<MemoryUse> memory() const;
  virtual std::int64_t free_memory_bytes() const = 0;
  // Takes what `operations` will need to work in, so that they take no memory later; they are not computed,
  // but what they write to is garbage afterwards. Throws OutOfMemory.
  virtual void reserve(const std::function<void()>& operations) = 0;
  virtual void upload(void* device, const void* host, std::int64_t bytes) = 0;
  virtual void download(void* host, const void* device, std::int64_t bytes) = 0;
  virtual void copy(void* to_device, const void* from_device, std::int64_t bytes) = 0;
  void zero(void* device, std::int64_t bytes);
  virtual void synchronize() = 0;

  // Runs `operations` and waits for them. `before` is put in front of them without being timed.
  virtual Measured measure(const std::function<void()>& before, const std::function<void()>& operations) = 0;
  // `operations` may run, copy and zero, always the same operations with the same operands; it neither
  // allocates nor moves anything between device and host.
  virtual std::unique_ptr<Recording> record(std::function<void()> operations) = 0;
  // Takes so much memory of the host; on a backend whose device is the host it counts as `what` in `memory`.
  // Throws DeviceError.
  virtual std::unique_ptr<Readback> make_readback(std::int64_t bytes, const char* what) = 0;
  // Takes as much device memory as the tensors have, and where the device is not the host kPieces pieces of
  // the host's, through which the copy is read. Throws OutOfMemory, DeviceError.
  virtual std::unique_ptr<DeviceCopy> make_device_copy(std::vector<Tensor> of, std::int64_t piece_bytes,
                                                       const char* what) = 0;
  // device: device memory of Feed::kSlots * slot_bytes, slot after slot, that outlives the feed. nullptr on a
  // dry backend.
  virtual std::unique_ptr<Feed> make_feed(void* device, std::int64_t slot_bytes) = 0;

  // What was put on the device since the last call, in order. Only a dry backend of a GPU writes it down.
  virtual std::vector<OperationCost> take_launches() { return {}; }

  // Throws ConfigError when the operands do not fit the operation's contract.
  template <class Op>
  void run(const Op& op) {
    check(op);
    if (observer_) [[unlikely]] {
      observed(cost(op), [&] { execute(op); });
    } else {
      execute(op);
    }
  }

  // From now on the observer is told of every operation and of `zero`, and each is waited for; with nullptr
  // nobody is. A CUDA graph cannot be watched inside: whoever replays a recording is to run its operations
  // instead. REQUIRES: the observer lives until another takes its place.
  virtual void observe(Observer* observer);
  Observer* observer() const { return observer_; }

  // What an operation computes and moves at least, on any device: operands read once and written once, a
  // multiply-add as two. Beside a product the arithmetic on its result does not count.
#define ZHGPT_DECLARE_COST(Op) static OperationCost cost(const Op& op);
  ZHGPT_FOR_EACH_OP(ZHGPT_DECLARE_COST)
#undef ZHGPT_DECLARE_COST

 private:
  friend class Buffer;
  void observed(const OperationCost& cost, const std::function<void()>& operation);
  virtual void zero_bytes(void* device, std::int64_t bytes) = 0;
  void release(void* data) noexcept;
  virtual void* allocate_bytes(std::int64_t bytes) = 0;  // nullptr when there is no room
  virtual void free_bytes(void* data) noexcept = 0;
  virtual std::vector<MemoryUse> working_memory() const = 0;  // that was not got from `allocate`

#define ZHGPT_DECLARE_OP(Op)       \
  static void check(const Op& op); \
  virtual void execute(const Op& op) = 0;
  ZHGPT_FOR_EACH_OP(ZHGPT_DECLARE_OP)
#undef ZHGPT_DECLARE_OP

  struct Allocation {
    void* data;
    MemoryUse use;
  };
  std::vector<Allocation> allocations_;
  Observer* observer_ = nullptr;
};

// The dtype in which an operation computes, that of its real operands; f32 where there are none.
template <class Op>
DType real_dtype(const Op& op) {
  if constexpr (requires { op.grads; })
    return op.grads.dtype;
  else if constexpr (requires { op.inp; })
    return op.inp.dtype;
  else if constexpr (requires { op.losses; })
    return op.losses.dtype;
  else if constexpr (requires { op.dout; })
    return op.dout.dtype;
  else if constexpr (requires { op.out.dtype; })
    return op.out.dtype;
  else if constexpr (requires { op.weight.dtype; })
    return op.weight.dtype;
  else if constexpr (requires { op.k_cache; })
    return op.k_cache.dtype;
  else
    return DType::f32;
}

// What a CUDA device is free to do. The CPU has one way for everything.
struct CudaOptions {
  bool tf32 = false;  // may round the operands of f32 products to 10 bits of mantissa, which is faster
  bool cudnn_attention = false;  // attention in bf16 by cuDNN instead of our own
  bool deterministic = true;     // false: may add up in another order from run to run, where that is faster
};

// device: "auto", "cpu", "cuda" or "cuda:N". threads: CPU threads, 0 for all that this process may use.
// Throws ConfigError for an unknown name, DeviceError when the device asked for is not there.
std::unique_ptr<Backend> make_backend(const std::string& device, int threads,
                                      const CudaOptions& options = {});

// The same, dry, with so much memory, which may be overdrawn. A CUDA device need not be there, but the build
// must have CUDA.
std::unique_ptr<Backend> make_dry_backend(const std::string& device, int threads, const CudaOptions& options,
                                          std::int64_t memory_bytes);

}  // namespace zhgpt
