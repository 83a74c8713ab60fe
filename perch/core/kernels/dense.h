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
  /// y = x weights^T. Weights beyond `inputs` must be zero. `scratch` holds images * outputs *
  /// lanes floats, 64-byte aligned.
  void (*forward)(const DenseShape&, const float* x, const float* weights, float* scratch,
                  float* y);
  /// dx = dy weights.
  void (*input_gradient)(const DenseShape&, const float* dy, const float* weights, float* dx);
  /// dweights = dy^T x; zero beyond `inputs`.
  void (*weight_gradient)(const DenseShape&, const float* x, const float* dy, float* dweights);
};

}  // namespace perch::kernels
