// DropoutBackward: dinp = dout * mask / (1 - p), in tiles of rows.
#include "cpu/dropout.h"

#include <algorithm>

#include "cpu/ops.h"

namespace zhgpt::cpu {

template <class Real>
void execute(Context& context, const DropoutBackward& op) {
  constexpr std::int64_t kElements = 8192;
  const std::int64_t count = op.dinp.numel();
  const DropoutMask mask(op.dropout);
  context.pool.for_each_tile(tiles_of(count, kElements), [&](std::int64_t tile, int) {
    const Tile part(tile, kElements, count);
    Real* dinp = op.dinp.as<Real>() + part.begin;
    std::copy_n(op.dout.as<Real>() + part.begin, part.count, dinp);
    mask.apply(dinp, part.begin, part.count);
  });
}

ZHGPT_DEFINED_FOR_FLOAT_AND_DOUBLE(DropoutBackward)

}  // namespace zhgpt::cpu
