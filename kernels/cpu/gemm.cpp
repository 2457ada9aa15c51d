// The register tile, packing, and the loops around them. This file alone is compiled with contraction, so
// that `sum += x * b` is one fused multiply-add wherever the processor has it.
#include "cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace zhgpt::cpu {
namespace {

// A tile of C is kTileRows by two vectors: as many accumulators as the registers hold beside the operands. At
// the lower edge of C it may be lower, by multiples of kHeightStep.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 12, kHeightStep = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kTileRows = 6, kHeightStep = 2;
#else
constexpr int kVectorBytes = 16, kTileRows = 6, kHeightStep = 2;
#endif

template <class T>
struct VectorOf {
  using Type [[gnu::vector_size(kVectorBytes)]] = T;
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
constexpr std::int64_t kLanes = kVectorBytes / sizeof(T);
template <class T>
constexpr std::int64_t kPanel = 2 * kLanes<T>;  // columns of C that a tile covers
constexpr std::int64_t kSlab = kDepth / 4;      // rows of B that one piece of packing takes
template <class T>
constexpr std::int64_t kLine = 64 / sizeof(T);

template <class T>
Vector<T> load(const T* x) {
  Vector<T> v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
template <class T>
void store(T* x, Vector<T> v) {
  std::memcpy(x, &v, sizeof v);
}
template <class T>
Vector<T> broadcast(T x) {
  return x - Vector<T>{};
}

std::int64_t pieces_of(std::int64_t n, std::int64_t size) {
  return (n + size - 1) / size;
}

// Transposes a square in log2(lanes) rounds: round h swaps the off-diagonal h x h blocks of each 2h x 2h
// block.
template <class T>
[[gnu::always_inline]] inline void transpose(Vector<T> (&rows)[kLanes<T>]) {
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr int n = kLanes<T>;
#pragma GCC unroll 4
  for (int h = 1; h < n; h *= 2) {
    Vector<Index> upper{}, lower{};
    for (int i = 0; i < n; ++i) {
      upper[i] = static_cast<Index>(i & h ? n + i - h : i);
      lower[i] = static_cast<Index>(i & h ? n + i : i + h);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      if (i & h) continue;
      const Vector<T> a = rows[i], b = rows[i + h];
      rows[i] = __builtin_shuffle(a, b, upper);
      rows[i + h] = __builtin_shuffle(a, b, lower);
    }
  }
}

// Row k of a panel of B.
template <class T>
struct RowOfPanel {
  Vector<T> left, right;

  [[gnu::always_inline]] RowOfPanel(const T* panel, std::int64_t k)
      : left(load(panel + k * kPanel<T>)), right(load(panel + k * kPanel<T> + kLanes<T>)) {}
};

constexpr std::int64_t kStep = 4;  // rows of B that a loop takes at once

// What is likely next: the panel that follows in memory, which may lie in the cache of the core that packed
// it. Tiles that lie below each other take the same panel, so that each fetches a part of the next one: all
// of it by kRowsThatShare rows, the fewest that operations with many rows take at once.
template <class T>
class Ahead {
  static constexpr std::int64_t kRowsThatShare = 24, kParts = kRowsThatShare / kTileRows;
  static constexpr std::int64_t kLines =
      std::max<std::int64_t>(1, kStep* kPanel<T> / kLine<T> / kParts);  // a step

 public:
  Ahead(const T* panel, std::int64_t depth, std::int64_t tile)
      : at_(panel + depth * kPanel<T> + tile % kParts * (depth / kStep) * kLines * kLine<T>) {}
  [[gnu::always_inline]] void fetch(std::int64_t k) const {
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kLines; ++i)
      __builtin_prefetch(at_ + (k / kStep * kLines + i) * kLine<T>, 0, 2);
  }

 private:
  const T* at_;
};

template <class T, int kRows>
struct Accumulators {
  Vector<T> sum[kRows][2] = {};

  [[gnu::always_inline]] void add(int row, T a, const RowOfPanel<T>& b) {
    const Vector<T> x = broadcast(a);
    sum[row][0] += x * b.left;
    sum[row][1] += x * b.right;
  }
  // Asks for the memory that `write` will want.
  [[gnu::always_inline]] void fetch(const T* c, std::int64_t stride) const {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      __builtin_prefetch(c + i * stride, 1);
      __builtin_prefetch(c + i * stride + kLanes<T>, 1);
    }
  }
  [[gnu::always_inline]] void write(T* c, std::int64_t stride, Sum how) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      T *left = c + i * stride, *right = left + kLanes<T>;
      store(left, how == Sum::add ? load(left) + sum[i][0] : sum[i][0]);
      store(right, how == Sum::add ? load(right) + sum[i][1] : sum[i][1]);
    }
  }
};

// A tile of C from kRows rows of A, each contiguous. Meanwhile the rows below, which are likely next, are
// fetched: the processor's own prefetching does not follow so many short rows.
template <class T, int kRows>
[[gnu::noinline]] void tile_of_rows(std::int64_t depth, const T* a, std::int64_t stride, const T* b,
                                    Ahead<T> next, T* c, std::int64_t c_stride, Sum how) {
  Accumulators<T, kRows> tile;
  tile.fetch(c, c_stride);
  const auto multiply_add = [&](std::int64_t k) __attribute__((always_inline)) {
    const RowOfPanel<T> row_of_b(b, k);
    const T* row = a + k;  // three rows from one pointer: the most that x86 can address
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      tile.add(i, row[i % 3 * stride], row_of_b);
      if (i % 3 == 2) row += 3 * stride;
    }
  };
  const T* below = a + kRows * stride;
  std::int64_t k = 0;
  for (; k + kStep <= depth; k += kStep) {
    next.fetch(k);
    // A line of every row in kRows / 3 steps.
    const T* ahead = below + k / kLine<T> * kLine<T> + k / kStep % (kLine<T> / kStep) * (3 * stride);
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + stride);
    __builtin_prefetch(ahead + 2 * stride);
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kStep; ++i) multiply_add(k + i);
  }
  for (; k < depth; ++k) multiply_add(k);
  tile.write(c, c_stride, how);
}

// Whether columns of A that lie far apart are brought together first. A tile of AVX-512 takes most of a line
// of each by itself; lower ones would fetch the same lines again and again.
constexpr bool kGathers = kTileRows < 12;

// The same where the columns of A are contiguous. If they are read where they lie, each is a line or two, on
// a page of its own as a rule, so that those to come are fetched here too: as far ahead as memory is away,
// and then as the second-level cache is, since so few sets of the first-level one hold lines a power of two
// apart.
template <class T, int kRows>
[[gnu::noinline]] void tile_of_columns(std::int64_t depth, const T* a, std::int64_t stride, const T* b,
                                       Ahead<T> next, T* c, std::int64_t c_stride, Sum how) {
  Accumulators<T, kRows> tile;
  tile.fetch(c, c_stride);
  const auto multiply_add = [&](std::int64_t k) __attribute__((always_inline)) {
    const RowOfPanel<T> row_of_b(b, k);
    if constexpr (!kGathers) {
      constexpr std::int64_t kFarAhead = 40, kAhead = 8;
      for (const T* far : {a + kFarAhead * stride, a + kFarAhead * stride + kRows - 1}) {
        __builtin_prefetch(far, 0, 2);
      }
      for (const T* near : {a + kAhead * stride, a + kAhead * stride + kRows - 1}) __builtin_prefetch(near);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) tile.add(i, a[i], row_of_b);
    a += stride;
  };
  std::int64_t k = 0;
  for (; k + kStep <= depth; k += kStep) {
    next.fetch(k);
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kStep; ++i) multiply_add(k + i);
  }
  for (; k < depth; ++k) multiply_add(k);
  tile.write(c, c_stride, how);
}

// Calls f with the height as a constant: a multiple of kHeightStep, or 1.
template <int kRows = kTileRows, class F>
void with_height(std::int64_t height, const F& f) {
  if (height == 1) return f(std::integral_constant<int, 1>{});
  if constexpr (kRows > kHeightStep) {
    if (height < kRows) return with_height<kRows - kHeightStep>(height, f);
  }
  f(std::integral_constant<int, kRows>{});
}

// The `count` rows of A from `begin` on, of its columns [k0, k0 + depth), as columns of kTileRows; missing
// rows are 0.
template <class T>
void copy_as_columns(Operand<T> a, std::int64_t begin, std::int64_t count, std::int64_t k0,
                     std::int64_t depth, T* to) {
  const bool rows = a.layout == Layout::rows;
  const std::int64_t row_step = rows ? a.stride : 1, k_step = rows ? 1 : a.stride;
  const T* from = a.data + begin * row_step + k0 * k_step;
  for (std::int64_t k = 0; k < depth; ++k, from += k_step, to += kTileRows) {
    for (std::int64_t i = 0; i < kTileRows; ++i) to[i] = i < count ? from[i * row_step] : T{0};
  }
}

// The `count` rows of A from its first on, of its columns [k0, k0 + depth), as columns of kRowsOfBlock. Those
// to come are fetched: the processor's own prefetching stops at the end of a page, and each is on another.
constexpr std::int64_t kRowsOfBlock = 96;
template <class T>
void gather_columns(Operand<T> a, std::int64_t count, std::int64_t k0, std::int64_t depth, T* to) {
  constexpr std::int64_t kAhead = 8;
  const T* from = a.data + k0 * a.stride;
  const std::int64_t whole = count / kLanes<T> * kLanes<T>;
  for (std::int64_t k = 0; k < depth; ++k, from += a.stride, to += kRowsOfBlock) {
    for (std::int64_t i = 0; i < count; i += kLine<T>) __builtin_prefetch(from + kAhead * a.stride + i);
    for (std::int64_t i = 0; i < whole; i += kLanes<T>) store(to + i, load(from + i));
    std::copy(from + whole, from + count, to + whole);
  }
}

}  // namespace

template <class T>
std::int64_t PackedMatrix<T>::size(std::int64_t depth, std::int64_t columns) {
  return depth * pieces_of(columns, kPanel<T>) * kPanel<T>;
}

// A piece is some rows of B where those are contiguous, otherwise one panel of a chunk.
template <class T>
std::int64_t PackedMatrix<T>::pieces(Layout layout) const {
  if (layout == Layout::rows) return pieces_of(depth_, kSlab);
  return pieces_of(depth_, kDepth) * pieces_of(columns_, kPanel<T>);
}

template <class T>
void PackedMatrix<T>::pack_piece(std::int64_t piece, Operand<T> b) {
  if (b.layout == Layout::rows) {
    pack_rows(piece * kSlab, std::min(kSlab, depth_ - piece * kSlab), b);
  } else {
    const std::int64_t panels = pieces_of(columns_, kPanel<T>);
    pack_panel(piece % panels, piece / panels * kDepth, b);
  }
}

// Chunks of depth follow each other, and in each its panels, each (depth of the chunk, kPanel).
template <class T>
T* PackedMatrix<T>::panel(std::int64_t panel, std::int64_t first_depth) const {
  const std::int64_t panels = pieces_of(columns_, kPanel<T>), depth = std::min(kDepth, depth_ - first_depth);
  return data_ + (first_depth * panels + panel * depth) * kPanel<T>;
}

template <class T>
void PackedMatrix<T>::pack_rows(std::int64_t begin, std::int64_t count, Operand<T> b) {
  static_assert(kDepth % kSlab == 0);  // a slab lies in one chunk
  const std::int64_t k0 = begin / kDepth * kDepth, whole = columns_ / kPanel<T>, rest = columns_ % kPanel<T>;
  const std::int64_t panel_size = std::min(kDepth, depth_ - k0) * kPanel<T>;
  for (std::int64_t k = begin; k < begin + count; ++k) {
    const T* from = b.data + k * b.stride;
    T* to = panel(0, k0) + (k - k0) * kPanel<T>;
    for (std::int64_t p = 0; p < whole; ++p, from += kPanel<T>, to += panel_size) {
      store(to, load(from));
      store(to + kLanes<T>, load(from + kLanes<T>));
    }
    if (rest > 0) std::fill(std::copy_n(from, rest, to), to + kPanel<T>, T{0});
  }
}

// Squares of as many rows as a vector has lanes are transposed in registers.
template <class T>
void PackedMatrix<T>::pack_panel(std::int64_t which, std::int64_t k0, Operand<T> b) {
  const std::int64_t depth = std::min(kDepth, depth_ - k0),
                     count = std::min(kPanel<T>, columns_ - which * kPanel<T>);
  const T* from = b.data + which * kPanel<T> * b.stride + k0;
  T* to = panel(which, k0);
  if (count < kPanel<T>) std::fill_n(to, depth * kPanel<T>, T{0});
  std::int64_t done = 0;  // columns
  for (; done + kLanes<T> <= count; done += kLanes<T>) {
    std::int64_t k = 0;
    for (; k + kLanes<T> <= depth; k += kLanes<T>) {
      Vector<T> square[kLanes<T>];
      for (std::int64_t i = 0; i < kLanes<T>; ++i) square[i] = load(from + (done + i) * b.stride + k);
      transpose<T>(square);
      for (std::int64_t i = 0; i < kLanes<T>; ++i) store(to + (k + i) * kPanel<T> + done, square[i]);
    }
    for (; k < depth; ++k) {
      for (std::int64_t j = done; j < done + kLanes<T>; ++j) to[k * kPanel<T> + j] = from[j * b.stride + k];
    }
  }
  for (; done < count; ++done) {
    for (std::int64_t k = 0; k < depth; ++k) to[k * kPanel<T> + done] = from[done * b.stride + k];
  }
}

template <class T>
void multiply(std::int64_t m, Operand<T> a, const PackedMatrix<T>& b, Span span, T* c, std::int64_t c_stride,
              Sum sum) {
  static_assert(kColumnStep % kPanel<T> == 0);
  const bool gathers =
      kGathers && a.layout == Layout::columns && a.stride > kRowsOfBlock && m <= kRowsOfBlock;
  const std::int64_t n = span.count, first_panel = span.begin / kPanel<T>;
  // The tiles read A where it lies or was gathered, but for a last one whose height is no multiple of
  // kHeightStep. A row alone, as in decoding, is a tile of its own.
  const std::int64_t last = m / kTileRows * kTileRows;
  const bool copied = m % kHeightStep != 0 && m != 1;
  T rest[kTileRows * kDepth], block[kRowsOfBlock * kDepth];
  for (std::int64_t k0 = 0; k0 < b.depth(); k0 += kDepth) {
    const std::int64_t depth = std::min(kDepth, b.depth() - k0);
    const Sum how = k0 == 0 ? sum : Sum::add;
    if (copied) copy_as_columns(a, last, m - last, k0, depth, rest);
    if (gathers) gather_columns(a, m, k0, depth, block);
    const bool in_place = a.layout == Layout::columns && !gathers;
    const T* columns_of_a = in_place ? a.data + k0 * a.stride : block;
    const std::int64_t column_stride = in_place ? a.stride : kRowsOfBlock;
    for (std::int64_t column = 0; column < n; column += kPanel<T>) {
      const T* panel = b.panel(first_panel + column / kPanel<T>, k0);
      const std::int64_t columns = std::min(kPanel<T>, n - column);
      for (std::int64_t row = 0; row < m; row += kTileRows) {
        const std::int64_t rows = std::min<std::int64_t>(kTileRows, m - row);
        const std::int64_t height = m == 1 ? 1 : pieces_of(rows, kHeightStep) * kHeightStep;
        const Ahead<T> next(panel, depth, row / kTileRows);
        T* at = c + row * c_stride + column;
        const bool whole = rows == height && columns == kPanel<T>;
        T edge[kTileRows * kPanel<T>];  // a tile that C does not hold whole is computed here, and what is
                                        // inside taken over
        T* to = whole ? at : edge;
        const std::int64_t stride = whole ? c_stride : kPanel<T>;
        const Sum into = whole ? how : Sum::overwrite;
        with_height(height, [&](auto constant) {
          constexpr int kRows = decltype(constant)::value;
          if (row == last && copied) {
            tile_of_columns<T, kRows>(depth, rest, kTileRows, panel, next, to, stride, into);
          } else if (a.layout == Layout::columns) {
            tile_of_columns<T, kRows>(depth, columns_of_a + row, column_stride, panel, next, to, stride,
                                      into);
          } else {
            tile_of_rows<T, kRows>(depth, a.data + row * a.stride + k0, a.stride, panel, next, to, stride,
                                   into);
          }
        });
        if (whole) continue;
        for (std::int64_t i = 0; i < rows; ++i) {
          for (std::int64_t j = 0; j < columns; ++j) {
            const T value = edge[i * kPanel<T> + j];
            at[i * c_stride + j] = how == Sum::add ? at[i * c_stride + j] + value : value;
          }
        }
      }
    }
  }
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void multiply(std::int64_t, Operand<float>, const PackedMatrix<float>&, Span, float*, std::int64_t,
                       Sum);
template void multiply(std::int64_t, Operand<double>, const PackedMatrix<double>&, Span, double*,
                       std::int64_t, Sum);

}  // namespace zhgpt::cpu
