// Dense products by cuBLASLt.
//
// The library thinks in columns: a row-major matrix is its transpose there, so out = a . b is asked for as
// out^T = b^T . a^T. For each kind of product (sizes, types, layouts, alignments, epilogue) the algorithms
// that the library thinks best are timed once and the fastest is kept, in memory and in a file
// (matmul_plans.h). Where it has none with the epilogue, the product is made plain and bias_gelu.cu finishes
// it.
//
// Bits: an algorithm gives the same ones each time; those that add up parts of k do so in f32 in the
// workspace. Which algorithm wins may differ from process to process, so when the file cannot keep the
// choice, the library's first suggestion is taken instead of the fastest. Neither holds where the options ask
// for no determinism: then parts of k may also be added up by atomics.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/bias_gelu.h"
#include "cuda/cublaslt.h"
#include "cuda/error.h"
#include "cuda/matmul.h"
#include "cuda/matmul_plans.h"
#include "zhgpt/backend.h"

namespace zhgpt::cuda {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;  // what NVIDIA advises for Hopper
constexpr int kCandidates = 8, kRounds = 3, kRunsARound = 4;

using Epilogue = Product::Epilogue;

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceError(std::string(what) + ": " + cublaslt().cublasLtGetStatusString(status));
}

template <class Handle, auto kDestroy>
struct Destroy {
  using pointer = Handle;
  void operator()(Handle handle) const noexcept { (cublaslt().*kDestroy)(handle); }
};
using Library = std::unique_ptr<void, Destroy<cublasLtHandle_t, &CublasLt::cublasLtDestroy>>;
using Operation = std::unique_ptr<void, Destroy<cublasLtMatmulDesc_t, &CublasLt::cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<void, Destroy<cublasLtMatrixLayout_t, &CublasLt::cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<void, Destroy<cublasLtMatmulPreference_t, &CublasLt::cublasLtMatmulPreferenceDestroy>>;

struct DeviceMemory {
  explicit DeviceMemory(std::int64_t bytes) {
    const cudaError_t status = cudaMalloc(&data, static_cast<std::size_t>(bytes));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // forgotten: said better here
      throw OutOfMemory("matmul", bytes);
    }
    cuda::check(status, "memory for matmul");
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { check_nothrow(cudaFree(data), "memory for matmul"); }
  void* data = nullptr;
};
struct Event {
  Event() { cuda::check(cudaEventCreate(&event), "creating an event"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { check_nothrow(cudaEventDestroy(event), "destroying an event"); }
  cudaEvent_t event = nullptr;
};

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}
// The largest power of two, up to 256, of which the address is a multiple.
std::uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 256;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

// A product in the library's terms.
class Description {
 public:
  Description(const Product& p, bool tf32) {
    cublasLtMatmulDesc_t operation;
    const bool rounds = tf32 && p.dtype == DType::f32;
    check(cublaslt().cublasLtMatmulDescCreate(
              &operation, rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "describing a product");
    operation_.reset(operation);
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    const bool bias = p.bias != nullptr;
    switch (p.epilogue) {
      case Epilogue::none:
        break;
      case Epilogue::bias:
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
        break;
      case Epilogue::bias_gelu:
        set(CUBLASLT_MATMUL_DESC_EPILOGUE,
            bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX);
        break;
      case Epilogue::dgelu:
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DGELU);
        break;
    }
    if (bias) set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(p.out_dtype));
    if (p.pre_gelu) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{p.n});
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, type_of(p.out_dtype));
    }
    point_to(p);
    // As stored and seen by columns: rows are what lies together.
    b_ = layout(p.dtype, p.b.transposed ? p.k : p.n, p.b.transposed ? p.n : p.k, p.b.stride);
    a_ = layout(p.dtype, p.a.transposed ? p.m : p.k, p.a.transposed ? p.k : p.m, p.a.stride);
    out_ = layout(p.out_dtype, p.n, p.m, p.row_of_out());
  }

  // The pointers that the description itself holds.
  void point_to(const Product& p) {
    if (p.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    if (p.pre_gelu) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.pre_gelu);
  }

  // The library's suggestions, best first; none when it cannot do this.
  std::vector<cublasLtMatmulAlgo_t> suggestions(cublasLtHandle_t library, const Product& p,
                                                bool deterministic) const {
    cublasLtMatmulPreference_t handle;
    check(cublaslt().cublasLtMatmulPreferenceCreate(&handle), "describing a search");
    const Preference preference(handle);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublaslt().cublasLtMatmulPreferenceSetAttribute(handle, attribute, &value, sizeof value),
            "describing a search");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kWorkspaceBytes));
    std::uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    if (!deterministic) sums |= CUBLASLT_REDUCTION_SCHEME_INPLACE;  // atomics
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sums);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b.data));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a.data));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.out));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.out));
    cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
    int count = 0;
    const cublasStatus_t status =
        cublaslt().cublasLtMatmulAlgoGetHeuristic(library, operation_.get(), b_.get(), a_.get(), out_.get(),
                                                  out_.get(), handle, kCandidates, results, &count);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return algorithms;
    check(status, "looking for a product's algorithms");
    for (int i = 0; i < count; ++i) {
      if (results[i].state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(results[i].algo);
    }
    return algorithms;
  }

  bool can_run(cublasLtHandle_t library, const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    return cublaslt().cublasLtMatmulAlgoCheck(library, operation_.get(), b_.get(), a_.get(), out_.get(),
                                              out_.get(), &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= std::size_t{kWorkspaceBytes};
  }

  cublasStatus_t run(cublasLtHandle_t library, const Product& p, void* out,
                     const cublasLtMatmulAlgo_t& algorithm, void* workspace, cudaStream_t stream) const {
    const float alpha = 1, beta = p.add ? 1 : 0;
    return cublaslt().cublasLtMatmul(library, operation_.get(), &alpha, p.b.data, b_.get(), p.a.data,
                                     a_.get(), &beta, out, out_.get(), out, out_.get(), &algorithm, workspace,
                                     kWorkspaceBytes, stream);
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check(cublaslt().cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof value),
          "describing a product");
  }
  static Layout layout(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    cublasLtMatrixLayout_t handle;
    check(cublaslt().cublasLtMatrixLayoutCreate(&handle, type_of(dtype), static_cast<std::uint64_t>(rows),
                                                static_cast<std::uint64_t>(columns), stride),
          "describing a matrix");
    return Layout(handle);
  }

  Operation operation_;
  Layout a_, b_, out_;
};

// Everything on which the choice of an algorithm depends but the device.
std::string kind_of(const Product& p, const CudaOptions& options) {
  std::string text = std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k);
  const auto operand = [&](const char* name, const Product::Operand& x) {
    text += std::string(" ") + name + (x.transposed ? "t" : "n") + std::to_string(x.stride) + "@" +
            std::to_string(alignment_of(x.data));
  };
  operand("a", p.a);
  operand("b", p.b);
  text += std::string(" ") + dtype_name(p.dtype) + (options.tf32 ? " tf32 " : " ") + dtype_name(p.out_dtype) +
          std::to_string(p.row_of_out()) + "@" + std::to_string(alignment_of(p.out)) + (p.add ? " add" : "") +
          " epilogue " + std::to_string(static_cast<int>(p.epilogue));
  if (p.bias) text += " bias@" + std::to_string(alignment_of(p.bias));
  if (p.pre_gelu) text += " gelu@" + std::to_string(alignment_of(p.pre_gelu));
  if (!options.deterministic) text += " any order";
  return text;
}

// The device and the library, whose plans are of no use to others.
std::string platform() {
  int device = 0, driver = 0;
  cuda::check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  cuda::check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  return std::string(properties.name) + " " + std::to_string(properties.multiProcessorCount) +
         " SMs, driver " + std::to_string(driver) + ", cuBLASLt " +
         std::to_string(cublaslt().cublasLtGetVersion()) + ": ";
}

// The product without its epilogue, put where apply_epilogue wants it.
Product plain(const Product& product) {
  Product p = product;
  p.out = plain_product_of(product);
  p.epilogue = Epilogue::none;
  p.bias = nullptr;
  p.pre_gelu = nullptr;
  return p;
}

struct Plan {
  Description description;
  cublasLtMatmulAlgo_t algorithm;
};

class CublasLtMatmul final : public Matmul {
 public:
  explicit CublasLtMatmul(const CudaOptions& options)
      : options_(options),
        platform_(platform()),
        plans_file_(MatmulPlans::default_path()),
        workspace_(kWorkspaceBytes) {
    cublasLtHandle_t library;
    check(cublaslt().cublasLtCreate(&library), "starting cuBLASLt");
    library_.reset(library);
  }

  void run(Stream& stream, const Product& product) override {
    const std::string kind = kind_of(product, options_);
    auto found = plans_.find(kind);
    if (found == plans_.end()) found = plans_.emplace(kind, make_plan(stream, product, kind)).first;
    if (!found->second) {  // no algorithm with this epilogue
      run(stream, plain(product));
      apply_epilogue(stream, product);
      return;
    }
    record(stream, product, options_.tf32);
    Plan& plan = *found->second;
    plan.description.point_to(product);
    check(plan.description.run(library_.get(), product, product.out, plan.algorithm, workspace_.data,
                               stream.get()),
          "matmul");
  }
  std::int64_t workspace_bytes() const override { return kWorkspaceBytes; }

 private:
  std::optional<Plan> make_plan(Stream& stream, const Product& p, const std::string& kind) {
    if (p.pre_gelu && p.n % 8 != 0) return std::nullopt;  // the rows of pre_gelu would not be aligned
    Description description(p, options_.tf32);
    if (const auto kept = plans_file_.find(platform_ + kind)) {
      const cublasLtMatmulAlgo_t algorithm = algorithm_of(*kept);
      if (description.can_run(library_.get(), algorithm)) return Plan{std::move(description), algorithm};
    }
    const auto candidates = description.suggestions(library_.get(), p, options_.deterministic);
    if (candidates.empty()) {
      if (p.epilogue == Epilogue::none)
        throw DeviceError("cuBLASLt has no algorithm for the product " + kind);
      return std::nullopt;
    }
    const cublasLtMatmulAlgo_t fastest = fastest_of(candidates, stream, p, description);
    const auto kept = plans_file_.keep(platform_ + kind, words_of(fastest));
    const cublasLtMatmulAlgo_t otherwise = options_.deterministic ? candidates.front() : fastest;
    return Plan{std::move(description), kept ? algorithm_of(*kept) : otherwise};
  }

  // Times each on the stream, in turn, some rounds; what the product writes goes elsewhere when it adds. No
  // room for that is no reason to end a run: the first suggestion will do.
  cublasLtMatmulAlgo_t fastest_of(const std::vector<cublasLtMatmulAlgo_t>& candidates, Stream& stream,
                                  const Product& p, const Description& description) {
    std::optional<DeviceMemory> elsewhere;
    if (p.add) {
      const std::int64_t bytes = p.m * p.row_of_out() * dtype_bytes(p.out_dtype);
      try {
        elsewhere.emplace(bytes);
      } catch (const OutOfMemory&) {
        return candidates.front();
      }
      cuda::check(cudaMemsetAsync(elsewhere->data, 0, static_cast<std::size_t>(bytes), stream.get()),
                  "memory for matmul");
    }
    void* out = elsewhere ? elsewhere->data : p.out;
    const Event begin, end;
    std::size_t best = 0;
    float best_ms = std::numeric_limits<float>::infinity();
    for (int round = 0; round <= kRounds; ++round) {  // the first one only loads code
      for (std::size_t i = 0; i < candidates.size(); ++i) {
        cuda::check(cudaEventRecord(begin.event, stream.get()), "timing a product");
        bool ran = true;
        for (int repeat = 0; repeat < kRunsARound; ++repeat) {
          ran = description.run(library_.get(), p, out, candidates[i], workspace_.data, stream.get()) ==
                    CUBLAS_STATUS_SUCCESS &&
                ran;
        }
        cuda::check(cudaEventRecord(end.event, stream.get()), "timing a product");
        cuda::check(cudaEventSynchronize(end.event), "timing a product");
        float ms = 0;
        cuda::check(cudaEventElapsedTime(&ms, begin.event, end.event), "timing a product");
        if (round == 0 || !ran || ms >= best_ms) continue;
        best_ms = ms;
        best = i;
      }
    }
    return candidates[best];
  }

  static MatmulAlgorithm words_of(const cublasLtMatmulAlgo_t& algorithm) {
    MatmulAlgorithm words;
    std::copy(std::begin(algorithm.data), std::end(algorithm.data), words.begin());
    return words;
  }
  static cublasLtMatmulAlgo_t algorithm_of(const MatmulAlgorithm& words) {
    cublasLtMatmulAlgo_t algorithm;
    std::copy(words.begin(), words.end(), algorithm.data);
    return algorithm;
  }

  const CudaOptions options_;
  const std::string platform_;
  MatmulPlans plans_file_;
  DeviceMemory workspace_;  // one for all: the products of a stream follow each other
  Library library_;
  std::map<std::string, std::optional<Plan>> plans_;  // by kind; nullopt: without the epilogue
};

class DryMatmul final : public Matmul {
 public:
  explicit DryMatmul(bool tf32) : tf32_(tf32) {}
  void run(Stream& stream, const Product& product) override { record(stream, product, tf32_); }
  std::int64_t workspace_bytes() const override { return kWorkspaceBytes; }

 private:
  const bool tf32_;
};

}  // namespace

std::unique_ptr<Matmul> make_matmul(const CudaOptions& options, bool dry) {
  if (dry) return std::make_unique<DryMatmul>(options.tf32);
  return std::make_unique<CublasLtMatmul>(options);
}

}  // namespace zhgpt::cuda
