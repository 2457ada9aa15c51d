// AttentionForward, AttentionBackward by cuDNN, as graphs of its frontend over our packed layout: q, k and v
// are (B, NH, T, HS) views into qkv (B, T, 3, NH, HS), whose rows are 3 C apart; out is such a view of
// (B, T, NH, HS); cuDNN's stats (B, NH, T, 1) are our lse.
//
// The only file that knows cuDNN. Its library is loaded by name, so that a program starts without it.
#include "cuda/attention_cudnn.h"

#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <cmath>
#include <map>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend looks all of cuDNN's functions up in this
}

namespace zhgpt::cuda {
namespace {

namespace fe = cudnn_frontend;
using Dimensions = std::vector<std::int64_t>;
using fe::graph::Tensor_attributes;

constexpr std::int64_t kWidest = 128;  // heads, in backward on all devices

// What a graph's tensors are called when it is executed.
enum Name : std::int64_t { kQ = 1, kK, kV, kOut, kLse, kDout, kDq, kDk, kDv };
using Addresses = std::unordered_map<std::int64_t, void*>;

void check(fe::error_t error) {
  if (error.is_bad()) throw DeviceError("cuDNN: " + error.get_message());
}
void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw DeviceError("cuDNN: " + std::string(what) + ": " + fe::detail::get_error_string(status));
}

cudnnHandle_t start_library() {
  constexpr const char* kFile = "libcudnn.so.9";
  if (!fe::cudnn_dlhandle) fe::cudnn_dlhandle = dlopen(kFile, RTLD_NOW | RTLD_GLOBAL);
  if (!fe::cudnn_dlhandle) throw DeviceError(tr(Msg::no_cudnn_library, kFile, dlerror()));
  cudnnHandle_t handle = nullptr;
  check(fe::detail::create_handle(&handle), "starting the library");
  return handle;
}

struct Shape {
  std::int64_t B, T, NH, HS;
  explicit Shape(const Tensor& out) : B(out.dim(0)), T(out.dim(1)), NH(out.dim(2)), HS(out.dim(3)) {
    if (HS % 8 != 0 || HS > kWidest) throw ConfigError(tr(Msg::cudnn_cannot, HS, kWidest));
  }
  auto operator<=>(const Shape&) const = default;
};

// Of `products` of (T, T) with (T, HS), the hidden half left out, and `rows` reads or writes of (T, HS).
void record(Stream& stream, const char* name, const Shape& s, double products, double rows) {
  if (!stream.ledger) return;
  const double heads = static_cast<double>(s.B * s.NH), t = static_cast<double>(s.T),
               hs = static_cast<double>(s.HS);
  stream.ledger->add(
      {name,
       {.flops = heads * products * t * (t + 1) * hs, .bytes = heads * t * (rows * hs * 2 + sizeof(float))},
       {}});
}

// A graph of one operation for one shape, planned when it is made.
class Planned {
 public:
  Planned(cudnnHandle_t library, const Shape& shape, bool backward, bool deterministic) : shape_(shape) {
    graph_.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (backward) {
      add_backward(deterministic);
    } else {
      add_forward();
    }
    check(graph_.build(library, {fe::HeurMode_t::A}));
    check(graph_.get_workspace_size(workspace_bytes_));
  }

  void run(cudnnHandle_t library, Context& context, Addresses addresses) {
    check(fe::detail::set_stream(library, context.stream.get()), "choosing a stream");
    check(
        graph_.execute(library, addresses, context.scratch.get(static_cast<std::size_t>(workspace_bytes_))));
  }

 private:
  void add_forward() {
    const auto [out, lse] = graph_.sdpa(
        input(kQ, packed()), input(kK, packed()), input(kV, packed()),
        causal(fe::graph::SDPA_attributes()).set_name("attention forward").set_generate_stats(true));
    output(out, kOut, plain());
    lse->set_output(true).set_data_type(fe::DataType_t::FLOAT).set_uid(kLse);
    lse->set_dim({shape_.B, shape_.NH, shape_.T, 1}).set_stride({shape_.NH * shape_.T, shape_.T, 1, 1});
  }

  void add_backward(bool deterministic) {
    const auto lse = graph_.tensor(Tensor_attributes()
                                       .set_uid(kLse)
                                       .set_dim({shape_.B, shape_.NH, shape_.T, 1})
                                       .set_stride({shape_.NH * shape_.T, shape_.T, 1, 1})
                                       .set_data_type(fe::DataType_t::FLOAT));
    const auto [dq, dk, dv] =
        graph_.sdpa_backward(input(kQ, packed()), input(kK, packed()), input(kV, packed()),
                             input(kOut, plain()), input(kDout, plain()), lse,
                             causal(fe::graph::SDPA_backward_attributes())
                                 .set_name("attention backward")
                                 .set_deterministic_algorithm(deterministic));
    output(dq, kDq, packed());
    output(dk, kDk, packed());
    output(dv, kDv, packed());
  }

  template <class Attributes>
  Attributes causal(Attributes attributes) const {
    attributes.set_attn_scale(1 / std::sqrt(static_cast<float>(shape_.HS))).set_causal_mask(true);
    return attributes;
  }

  // Strides of (B, NH, T, HS) within (B, T, 3, NH, HS), and within (B, T, NH, HS).
  Dimensions packed() const { return strides(3 * shape_.NH * shape_.HS); }
  Dimensions plain() const { return strides(shape_.NH * shape_.HS); }
  Dimensions strides(std::int64_t row) const { return {shape_.T * row, shape_.HS, row, 1}; }
  Dimensions sizes() const { return {shape_.B, shape_.NH, shape_.T, shape_.HS}; }

  std::shared_ptr<Tensor_attributes> input(Name name, const Dimensions& strides) {
    return graph_.tensor(Tensor_attributes().set_uid(name).set_dim(sizes()).set_stride(strides));
  }
  void output(const std::shared_ptr<Tensor_attributes>& tensor, Name name, const Dimensions& strides) const {
    tensor->set_output(true).set_uid(name).set_dim(sizes()).set_stride(strides);
  }

  Shape shape_;
  fe::graph::Graph graph_;
  std::int64_t workspace_bytes_ = 0;
};

class CudnnGraphs final : public CudnnAttention {
 public:
  explicit CudnnGraphs(bool deterministic) : deterministic_(deterministic), library_(start_library()) {}

  void run(Context& context, const AttentionForward& op) override {
    const Shape shape(op.out);
    record(context.stream, "attention_cudnn_forward", shape, 2, 4);
    auto* q = static_cast<std::uint16_t*>(op.qkv.data);
    const std::int64_t C = shape.NH * shape.HS;
    planned(forward_, shape, false)
        .run(library_.get(), context,
             {{kQ, q}, {kK, q + C}, {kV, q + 2 * C}, {kOut, op.out.data}, {kLse, op.lse.data}});
  }

  void run(Context& context, const AttentionBackward& op) override {
    const Shape shape(op.out);
    record(context.stream, "attention_cudnn_backward", shape, 5, 8);
    auto *q = static_cast<std::uint16_t*>(op.qkv.data), *dq = static_cast<std::uint16_t*>(op.dqkv.data);
    const std::int64_t C = shape.NH * shape.HS;
    planned(backward_, shape, true)
        .run(library_.get(), context,
             {{kQ, q},
              {kK, q + C},
              {kV, q + 2 * C},
              {kOut, op.out.data},
              {kLse, op.lse.data},
              {kDout, op.dout.data},
              {kDq, dq},
              {kDk, dq + C},
              {kDv, dq + 2 * C}});
  }

 private:
  struct Destroy {
    void operator()(cudnnHandle_t library) const noexcept { fe::detail::destroy_handle(library); }
  };
  using Plans = std::map<Shape, Planned>;

  Planned& planned(Plans& plans, const Shape& shape, bool backward) {
    try {
      return plans.try_emplace(shape, library_.get(), shape, backward, deterministic_).first->second;
    } catch (const DeviceError&) {
      throw;
    } catch (const std::exception& error) {  // the frontend's own way of saying that a library is missing
      throw DeviceError(std::string("cuDNN: ") + error.what());
    }
  }

  bool deterministic_;
  std::unique_ptr<std::remove_pointer_t<cudnnHandle_t>, Destroy> library_;
  Plans forward_, backward_;
};

}  // namespace

std::unique_ptr<CudnnAttention> make_cudnn_attention(bool deterministic) {
  return std::make_unique<CudnnGraphs>(deterministic);
}

}  // namespace zhgpt::cuda
