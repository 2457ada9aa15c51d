// Runs every case on the device and on the CPU in double, compares, and times what is timed.
#include <algorithm>
#include <cmath>
#include <limits>

#include "selftest/cases.h"
#include "zhgpt/error.h"
#include "zhgpt/selftest.h"

namespace zhgpt {
namespace {

using selftest::Case;
using selftest::Operands;
using selftest::Output;
using selftest::Prepared;
using selftest::read;

constexpr std::int64_t kFlushBytes = std::int64_t{256} << 20;  // beyond the second-level cache of any card
constexpr int kRepeats = 9;                                    // of which the median counts
constexpr double kEnoughMs = 500;                              // fewer, when they take long

// |got - want| <= relative * |want| + inside * terms. The first is the rounding of the result itself, by half
// a unit of its last bit, with room for a second one behind it; the second is what comes of the sum: in f32
// (unit roundoff 6e-8) that of some thousand terms, and where terms are rounded on the way what that leaves
// of them, 2^-9 each in bf16 and 2^-11 in tf32.
struct Bound {
  double relative, inside;
};
Bound bound_of(const Output& output, Precision precision) {
  if (output.tensor.dtype == DType::i32 || output.tensor.dtype == DType::i64) return {0, 0};
  const double relative = output.tensor.dtype == DType::bf16 ? 1.0 / 256 : 1e-5;
  double inside = 1e-5;
  if (output.rounded_inside && precision.dtype == DType::bf16) inside = 1e-2;
  if (output.rounded_inside && precision.tf32) inside = 2e-3;
  return {relative, inside * output.terms};
}

// Fills in the number of this output that is nearest to its bound, or furthest beyond it.
void compare(const Output& output, const std::vector<double>& got, const std::vector<double>& want,
             Precision precision, double& worst, SelftestLine& line) {
  const Bound bound = bound_of(output, precision);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double allowed = bound.relative * std::abs(want[i]) + bound.inside;
    double error = std::abs(got[i] - want[i]);
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    const double ratio = error == 0 ? 0 : error / allowed;  // where nothing is allowed, infinite
    if (ratio <= worst) continue;
    worst = ratio;
    line.output = output.name;
    line.error = error;
    line.bound = allowed;
  }
}

Measured median_of(Backend& device, const std::function<void()>& before, const std::function<void()>& run) {
  std::vector<Measured> all;
  double total_ms = 0;
  for (int i = 0; i < kRepeats && total_ms < kEnoughMs; ++i) {
    all.push_back(device.measure(before, run));
    total_ms += all.back().ms;
  }
  std::sort(all.begin(), all.end(), [](const Measured& a, const Measured& b) { return a.ms < b.ms; });
  return all[all.size() / 2];
}

double share_of(const Measured& measured, const Ceilings& ceilings) {
  if (ceilings.bytes_per_s == 0 || measured.ms == 0) return 0;
  const double least_s =
      std::max(measured.flops / ceilings.flops_per_s, measured.bytes / ceilings.bytes_per_s);
  return least_s / (measured.ms * 1e-3);
}

}  // namespace

Ceilings measure_ceilings(Backend& device, Precision precision) {
  Operands small(device, precision.dtype);
  const Tensor one = small.reals({8, 8});
  const LinearForward probe{small.unset({8, 8}), {}, one, one, {}};
  if (device.measure([] {}, [&] { device.run(probe); }).launches == 0) return {};

  Ceilings ceilings;
  constexpr std::int64_t kCopyBytes = std::int64_t{512} << 20, kSide = 8192;
  const Buffer from = device.allocate(kCopyBytes, "a copy's source"),
               to = device.allocate(kCopyBytes, "a copy's target");
  const Measured copy = median_of(
      device, [] {}, [&] { device.copy(to.data(), from.data(), kCopyBytes); });
  ceilings.bytes_per_s = 2.0 * kCopyBytes / (copy.ms * 1e-3);
  Operands large(device, precision.dtype);
  const LinearForward product{
      large.unset({kSide, kSide}), {}, large.reals({kSide, kSide}), large.reals({kSide, kSide}), {}};
  device.run(product);  // looks for its algorithm
  const Measured time = median_of(
      device, [] {}, [&] { device.run(product); });
  ceilings.flops_per_s = time.flops / (time.ms * 1e-3);
  return ceilings;
}

void check_operations(Backend& device, Precision precision, bool quick, const Ceilings& ceilings,
                      const SelftestReport& report) {
  const auto cpu = make_backend("cpu", 0);
  const Buffer flush = quick ? Buffer() : device.allocate(kFlushBytes, "what empties the caches");
  for (const Case& c : selftest::operation_cases(quick)) {
    if (!c.has_reals && precision.dtype == DType::bf16) continue;  // the same code as in f32
    if (c.packed && !(device.packs_weights() && precision.dtype == DType::f32)) continue;
    SelftestLine line{.name = c.name, .shape = c.shape};
    try {
      Operands exact(*cpu, DType::f64), ours(device, precision.dtype);
      const Prepared want = c.prepare(exact, *cpu), got = c.prepare(ours, *cpu);
      want.run();
      got.run();
      double worst = -1;
      for (std::size_t i = 0; i < got.outputs.size(); ++i) {
        compare(got.outputs[i], read(device, got.outputs[i].tensor), read(*cpu, want.outputs[i].tensor),
                precision, worst, line);
      }
      line.ok = worst <= 1;
      if (c.timed) {
        const auto empty_caches = [&] { device.zero(flush.data(), flush.bytes()); };
        line.measured = median_of(device, empty_caches, got.run);
        line.share = share_of(line.measured, ceilings);
      }
    } catch (const DeviceError& error) {
      throw DeviceError(c.name + " (" + c.shape + "): " + error.what());
    }
    report(line);
  }
}

}  // namespace zhgpt
