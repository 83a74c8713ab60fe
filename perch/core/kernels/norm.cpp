#include <perch/core/kernels/lanes.h>
#include <perch/core/kernels/norm.h>

namespace perch::kernels {
namespace {

static_assert(norm_alignment % lanes == 0);

// A sum of floats over this many rows before it is added to a double.
constexpr std::int64_t rows_per_flush = 64;

void flush(const Batch& partial, double* sums) {
  alignas(64) float buffer[lanes];
  partial.store_aligned(buffer);
  for (std::int64_t i = 0; i < lanes; ++i) sums[i] += buffer[i];
}

// Two sums per column, of what `term(row, column)` gives as a pair, for `unroll` vectors at a time.
template <int unroll, class Term>
void column_block(std::int64_t begin, std::int64_t end, std::int64_t column, double* first,
                  double* second, Term term) {
  Batch a[unroll], b[unroll];
  for (int u = 0; u < unroll; ++u) a[u] = b[u] = Batch(0.0f);
  for (std::int64_t row = begin; row < end; ++row) {
    for (int u = 0; u < unroll; ++u) term(row, column + u * lanes, a[u], b[u]);
  }
  for (int u = 0; u < unroll; ++u) {
    flush(a[u], first + column + u * lanes);
    if (second != nullptr) flush(b[u], second + column + u * lanes);
  }
}

template <class Term>
void column_sums(std::int64_t rows, std::int64_t width, double* first, double* second, Term term) {
  for (std::int64_t i = 0; i < width; ++i) {
    first[i] = 0;
    if (second != nullptr) second[i] = 0;
  }
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t end = begin + rows_per_flush < rows ? begin + rows_per_flush : rows;
    std::int64_t column = 0;
    for (; column + 4 * lanes <= width; column += 4 * lanes) {
      column_block<4>(begin, end, column, first, second, term);
    }
    for (; column < width; column += lanes) {
      column_block<1>(begin, end, column, first, second, term);
    }
  }
}

void gradient_sums(const float* dy, const float* x, const float* mean, std::int64_t rows,
                   std::int64_t width, double* values, double* products) {
  column_sums(rows, width, values, products,
              [=](std::int64_t row, std::int64_t column, Batch& value, Batch& product) {
                const Batch upstream = Batch::load_unaligned(dy + row * width + column);
                const Batch d = Batch::load_unaligned(x + row * width + column) -
                                Batch::load_unaligned(mean + column);
                value += upstream;
                product = multiply_add(upstream, d, product);
              });
}

// body(element, column, count): for each vector of the n elements, row by row; the count is below
// lanes for the very last one at most.
template <class Body>
void for_each_vector(std::int64_t n, std::int64_t width, Body body) {
  for (std::int64_t row = 0; row < n; row += width) {
    const std::int64_t columns = n - row < width ? n - row : width;
    std::int64_t column = 0;
    for (; column + lanes <= columns; column += lanes) body(row + column, column, lanes);
    if (column < columns) body(row + column, column, columns - column);
  }
}

void normalise(float* y, const float* x, const float* mean, const float* scale, const float* beta,
               std::int64_t n, std::int64_t width) {
  for_each_vector(n, width, [=](std::int64_t i, std::int64_t column, std::int64_t count) {
    const Batch centred = load(x + i, count) - Batch::load_unaligned(mean + column);
    store(y + i,
          multiply_add(centred, Batch::load_unaligned(scale + column),
                       Batch::load_unaligned(beta + column)),
          count);
  });
}

void gradient(float* dx, const float* dy, const float* x, const float* mean, const float* offset,
              const float* slope, const float* scale, std::int64_t n, std::int64_t width) {
  for_each_vector(n, width, [=](std::int64_t i, std::int64_t column, std::int64_t count) {
    const Batch centred = load(x + i, count) - Batch::load_unaligned(mean + column);
    const Batch upstream = load(dy + i, count) - Batch::load_unaligned(offset + column);
    store(dx + i,
          multiply_add(-centred, Batch::load_unaligned(slope + column), upstream) *
              Batch::load_unaligned(scale + column),
          count);
  });
}

void scale_columns(float* y, const float* x, const float* scale, std::int64_t n,
                   std::int64_t width) {
  for_each_vector(n, width, [=](std::int64_t i, std::int64_t column, std::int64_t count) {
    store(y + i, load(x + i, count) * Batch::load_unaligned(scale + column), count);
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const NormKernels norm;
const NormKernels norm{
    .gradient_sums = kernels::gradient_sums,
    .normalise = kernels::normalise,
    .gradient = kernels::gradient,
    .scale = kernels::scale_columns,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
