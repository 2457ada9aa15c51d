// Dense products: C (m, n) = or += A (m, k) . B (k, n), for one thread's rows of C at a time.
//
// B is packed once into panels as wide as a register tile, piece by piece so that threads can share the work,
// and then serves all rows; A is read where it lies, or gathered for some rows where its columns lie far
// apart (K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication", 2008). Each element
// of C is summed over k in order by fused multiply-adds, in chunks of kDepth whose sums are added up: the
// order depends on k alone, not on the width of the vectors, on m, n or on threads.
#pragma once

#include <cstdint>

namespace zhgpt::cpu {

constexpr std::int64_t kDepth = 192;  // a panel of so many rows of B stays in the first-level cache

// Where element (i, j) lies: at data[i * stride + j], or at data[j * stride + i].
enum class Layout { rows, columns };

template <class T>
struct Operand {
  const T* data;
  std::int64_t stride;
  Layout layout = Layout::rows;
};

template <class T>
class PackedMatrix {
 public:
  // Elements of memory that a (depth, columns) matrix takes.
  static std::int64_t size(std::int64_t depth, std::int64_t columns);

  PackedMatrix(T* memory, std::int64_t depth, std::int64_t columns)
      : data_(memory), depth_(depth), used_(depth), columns_(columns) {}

  // The matrix of the first rows of this one, in its memory.
  PackedMatrix first(std::int64_t rows) const {
    PackedMatrix matrix = *this;
    matrix.used_ = rows;
    return matrix;
  }

  // The matrix is packed once each piece in [0, pieces(b.layout)) has been; any thread may take any of them.
  std::int64_t pieces(Layout layout) const;
  void pack_piece(std::int64_t piece, Operand<T> b);
  void pack(Operand<T> b) {
    for (std::int64_t piece = 0; piece < pieces(b.layout); ++piece) pack_piece(piece, b);
  }

  std::int64_t depth() const { return used_; }
  std::int64_t columns() const { return columns_; }
  T* panel(std::int64_t panel, std::int64_t first_depth) const;

 private:
  void pack_rows(std::int64_t begin, std::int64_t count, Operand<T> b);
  void pack_panel(std::int64_t which, std::int64_t k0, Operand<T> b);
  T* data_;
  std::int64_t depth_, used_, columns_;  // (depth, columns) is how it lies; of it so many rows are meant
};

enum class Sum { overwrite, add };

// Rows [0, m) of C in the columns of `span`, on the calling thread; `c` is the element at row 0 and column
// span.begin. REQUIRES: C overlaps neither operand; span.begin is a multiple of kColumnStep.
constexpr std::int64_t kColumnStep = 64;
struct Span {
  std::int64_t begin, count;
};
template <class T>
void multiply(std::int64_t m, Operand<T> a, const PackedMatrix<T>& b, Span span, T* c, std::int64_t c_stride,
              Sum sum);
template <class T>
void multiply(std::int64_t m, Operand<T> a, const PackedMatrix<T>& b, T* c, std::int64_t c_stride, Sum sum) {
  multiply(m, a, b, Span{0, b.columns()}, c, c_stride, sum);
}

}  // namespace zhgpt::cpu
