#include <perch/core/kernels/elementwise.h>
#include <perch/core/kernels/lanes.h>

namespace perch::kernels {
namespace {

void add(float* y, const float* a, const float* b, std::int64_t n) {
  map(
      y, n, [](Batch u, Batch v) { return u + v; }, a, b);
}

void multiply(float* y, const float* a, const float* b, std::int64_t n) {
  map(
      y, n, [](Batch u, Batch v) { return u * v; }, a, b);
}

double lane_sum(const Batch& batch) {
  alignas(64) float buffer[lanes];
  batch.store_aligned(buffer);
  double total = 0;
  for (const float value : buffer) total += value;
  return total;
}

// Sum of f(i-th vector) over a row of n values; `f` must give 0 in the lanes behind the end. In
// float over a block, which rounds few times in each lane, and in double over the blocks.
template <class F>
double sum_of(std::int64_t n, F f) {
  constexpr std::int64_t block = 1024;
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = begin + block < n ? begin + block : n;
    Batch even(0.0f), odd(0.0f);
    std::int64_t i = begin;
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      even += f(i, lanes);
      odd += f(i + lanes, lanes);
    }
    for (; i < end; i += lanes) even += f(i, end - i < lanes ? end - i : lanes);
    total += lane_sum(even + odd);
  }
  return total;
}

double sum(const float* x, std::int64_t n) {
  return sum_of(n, [x](std::int64_t i, std::int64_t count) { return load(x + i, count); });
}

// Comparisons are written so that NaN, which compares false, stays.
void clamp(float* y, const float* x, float low, float high, std::int64_t n) {
  const Batch lowest(low), highest(high);
  map(
      y, n,
      [=](Batch v) {
        return xsimd::select(v < lowest, lowest, xsimd::select(v > highest, highest, v));
      },
      x);
}

void clamp_gradient(float* dx, const float* dy, const float* y, float low, float high,
                    std::int64_t n) {
  const Batch lowest(low), highest(high), zero(0.0f);
  map(
      dx, n,
      [=](Batch upstream, Batch v) {
        return xsimd::select((v > lowest) & (v < highest), upstream, zero);
      },
      dy, y);
}

void leaky_relu(float* y, const float* x, float slope, std::int64_t n) {
  const Batch factor(slope), zero(0.0f);
  map(
      y, n, [=](Batch v) { return xsimd::select(v < zero, factor * v, v); }, x);
}

void leaky_relu_gradient(float* dx, const float* dy, const float* x, float slope, std::int64_t n) {
  const Batch factor(slope), zero(0.0f);
  map(
      dx, n,
      [=](Batch upstream, Batch v) { return xsimd::select(v > zero, upstream, factor * upstream); },
      dy, x);
}

void sigmoid(float* y, const float* x, std::int64_t n) {
  const Batch one(1.0f);
  map(
      y, n, [=](Batch v) { return one / (one + xsimd::exp(-v)); }, x);
}

void sigmoid_gradient(float* dx, const float* dy, const float* y, std::int64_t n) {
  const Batch one(1.0f);
  map(
      dx, n, [=](Batch upstream, Batch v) { return upstream * v * (one - v); }, dy, y);
}

void tanh(float* y, const float* x, std::int64_t n) {
  map(
      y, n, [](Batch v) { return xsimd::tanh(v); }, x);
}

void tanh_gradient(float* dx, const float* dy, const float* y, std::int64_t n) {
  const Batch one(1.0f);
  map(
      dx, n, [=](Batch upstream, Batch v) { return upstream * (one - v * v); }, dy, y);
}

float largest(const float* x, std::int64_t n) {
  float best = x[0];
  for (std::int64_t i = 1; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

void softmax(float* y, const float* x, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    const Batch shift(largest(x, columns));
    map(
        y, columns, [=](Batch v) { return xsimd::exp(v - shift); }, x);
    const Batch factor(static_cast<float>(1.0 / sum(y, columns)));
    map(
        y, columns, [=](Batch v) { return v * factor; }, y);
  }
}

void softmax_gradient(float* dx, const float* dy, const float* y, std::int64_t rows,
                      std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; ++row, dx += columns, dy += columns, y += columns) {
    const double dot = sum_of(columns, [=](std::int64_t i, std::int64_t count) {
      return load(dy + i, count) * load(y + i, count);
    });
    const Batch shift(static_cast<float>(dot));
    map(
        dx, columns, [=](Batch upstream, Batch v) { return v * (upstream - shift); }, dy, y);
  }
}

}  // namespace

namespace PERCH_ARCH {

extern const ElementwiseKernels elementwise;
const ElementwiseKernels elementwise{
    .add = kernels::add,
    .multiply = kernels::multiply,
    .sum = kernels::sum,
    .clamp = kernels::clamp,
    .clamp_gradient = kernels::clamp_gradient,
    .leaky_relu = kernels::leaky_relu,
    .leaky_relu_gradient = kernels::leaky_relu_gradient,
    .sigmoid = kernels::sigmoid,
    .sigmoid_gradient = kernels::sigmoid_gradient,
    .tanh = kernels::tanh,
    .tanh_gradient = kernels::tanh_gradient,
    .softmax = kernels::softmax,
    .softmax_gradient = kernels::softmax_gradient,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
