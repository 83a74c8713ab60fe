// Function table of the skinny matrix products: few outputs, long rows. Weights are handed over
// transposed, one row of inputs per output, so that everything is vectorised along inputs.
#pragma once

#include <cstdint>

namespace perch::kernels {

/// A batch x [images, inputs], weights [outputs, inputs], y [images, outputs], with row strides.
/// Rows of weights are readable, and writable, up to the next multiple of lanes.
struct DenseShape {
  std::int64_t images, inputs, outputs;
  std::int64_t x_stride, weight_stride, y_stride;
};

struct DenseKernels {
  std::int64_t lanes;
  /// Adds x weights^T to `sums`, images * outputs vectors of lanes each, 64-byte aligned; starts
  /// from zero when `first`. Weights beyond `inputs` must be zero.
  void (*accumulate)(const DenseShape&, const float* x, const float* weights, bool first,
                     float* sums);
  /// y [count] = the sums of each vector's lanes.
  void (*add_lanes)(const float* sums, std::int64_t count, float* y);
  /// dx = dy weights.
  void (*input_gradient)(const DenseShape&, const float* dy, const float* weights, float* dx);
  /// dweights = dy^T x, added to what is there unless `first`; beyond `inputs` anything.
  void (*weight_gradient)(const DenseShape&, const float* x, const float* dy, bool first,
                          float* dweights);
  /// to [cols][rows] = from [rows][cols] turned over, with row strides.
  void (*transpose)(const float* from, std::int64_t rows, std::int64_t cols,
                    std::int64_t from_stride, float* to, std::int64_t to_stride);
};

}  // namespace perch::kernels
