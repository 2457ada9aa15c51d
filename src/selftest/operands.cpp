#include "selftest/operands.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>

#include "zhgpt/bfloat16.h"
#include "zhgpt/rng.h"

namespace zhgpt::selftest {
namespace {

constexpr std::uint64_t kSeed = 20261124;

std::size_t elements(Operands::Shape shape) {
  return static_cast<std::size_t>(Tensor(nullptr, DType::f32, shape).numel());
}

float rounded(double value) {
  return bfloat16_value(bfloat16_bits(static_cast<float>(value)));
}

// body(begin, end) over pieces of [0, count) on all cores; pieces begin at multiples of 4. Tens of millions
// of numbers would otherwise take longer than the operations.
template <class Body>
void in_pieces(std::size_t count, const Body& body) {
  constexpr std::size_t kSmallest = std::size_t{1} << 16;
  const std::size_t threads =
      std::clamp<std::size_t>(count / kSmallest, 1, std::max(1u, std::thread::hardware_concurrency()));
  const std::size_t piece = (count / threads + 4) / 4 * 4;
  std::vector<std::jthread> others;
  for (std::size_t begin = piece; begin < count; begin += piece) {
    others.emplace_back([&body, begin, end = std::min(begin + piece, count)] { body(begin, end); });
  }
  body(0, std::min(piece, count));
}

template <class From, class Convert>
std::vector<double> converted(const std::vector<char>& bytes, const Convert& convert) {
  std::vector<double> values(bytes.size() / sizeof(From));
  in_pieces(values.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      From value;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      values[i] = static_cast<double>(convert(value));
    }
  });
  return values;
}

}  // namespace

Tensor Operands::reals(Shape shape, double spread, double centre) {
  return random(dtype_, shape, spread, centre);
}
Tensor Operands::exacts(Shape shape, double spread, double centre) {
  return random(exact_dtype(), shape, spread, centre);
}
Tensor Operands::floats(Shape shape, double spread) {
  return random(DType::f32, shape, spread, 0);
}

Tensor Operands::unset(Shape shape) {
  return place(std::vector<float>(elements(shape), std::numeric_limits<float>::quiet_NaN()), dtype_, shape);
}
Tensor Operands::unset_exact(Shape shape) {
  return place(std::vector<float>(elements(shape), std::numeric_limits<float>::quiet_NaN()), exact_dtype(),
               shape);
}

Tensor Operands::given(const std::vector<double>& values, Shape shape) {
  std::vector<float> narrow;
  narrow.reserve(values.size());
  for (const double value : values) narrow.push_back(rounded(value));
  return place(narrow, dtype_, shape);
}
Tensor Operands::given_exact(const std::vector<double>& values, Shape shape) {
  return place({values.begin(), values.end()}, exact_dtype(), shape);
}

Tensor Operands::ids(Shape shape, std::int64_t limit) {
  std::vector<std::int32_t> values(elements(shape));
  const std::uint32_t site = site_++;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxBlock r = random_block(kSeed, RandomStream::init, 0, site, i);
    values[i] = static_cast<std::int32_t>(uniform_below(r[0], r[1], static_cast<std::uint64_t>(limit)));
  }
  Tensor tensor(nullptr, DType::i32, shape);
  tensor.data = room(values.data(), tensor.bytes());
  return tensor;
}

Tensor Operands::longs(const std::vector<std::int64_t>& values, Shape shape) {
  Tensor tensor(nullptr, DType::i64, shape);
  tensor.data = room(values.data(), tensor.bytes());
  return tensor;
}

StepState* Operands::state(const StepState& initial) {
  return static_cast<StepState*>(room(&initial, sizeof initial));
}

Tensor Operands::random(DType dtype, Shape shape, double spread, double centre) {
  std::vector<float> values(elements(shape));
  const std::uint32_t site = site_++;
  in_pieces(values.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += 4) {
      const PhiloxBlock r = random_block(kSeed, RandomStream::init, 0, site, i / 4);
      for (std::size_t lane = 0; lane < 4 && i + lane < end; ++lane) {
        const double unit = 2.0 * static_cast<double>(uniform_float(r[lane])) - 1.0;
        values[i + lane] = rounded(centre + spread * unit);
      }
    }
  });
  return place(values, dtype, shape);
}

Tensor Operands::place(const std::vector<float>& values, DType dtype, Shape shape) {
  Tensor tensor(nullptr, dtype, shape);
  if (dtype == DType::bf16) {
    std::vector<std::uint16_t> bits;
    bits.reserve(values.size());
    for (const float value : values) bits.push_back(bfloat16_bits(value));
    tensor.data = room(bits.data(), tensor.bytes());
  } else if (dtype == DType::f64) {
    const std::vector<double> wide(values.begin(), values.end());
    tensor.data = room(wide.data(), tensor.bytes());
  } else {
    tensor.data = room(values.data(), tensor.bytes());
  }
  return tensor;
}

void* Operands::room(const void* bytes, std::int64_t count) {
  buffers_.push_back(backend_.allocate(count, "operands of the selftest"));
  backend_.upload(buffers_.back().data(), bytes, count);
  return buffers_.back().data();
}

std::vector<double> read(Backend& backend, const Tensor& tensor) {
  std::vector<char> bytes(static_cast<std::size_t>(tensor.bytes()));
  backend.synchronize();
  backend.download(bytes.data(), tensor.data, tensor.bytes());
  const auto same = [](auto value) { return value; };
  switch (tensor.dtype) {
    case DType::f64:
      return converted<double>(bytes, same);
    case DType::bf16:
      return converted<std::uint16_t>(bytes, bfloat16_value);
    case DType::i32:
      return converted<std::int32_t>(bytes, same);
    case DType::i64:
      return converted<std::int64_t>(bytes, same);
    default:
      return converted<float>(bytes, same);
  }
}

}  // namespace zhgpt::selftest
