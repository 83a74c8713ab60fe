// What perch's products are measured against: tiles of im2col and OpenBLAS's sgemm, and plain
// loops. As parallel as perch's, over images.
#pragma once

#include <perch/core/ops/conv.h>

namespace perch::bench {

/// Convolutions of one group. x is [N, H, W, C], kernel [h, w, C, F], dy [N, H', W', F]; each
/// returns what it is named after.
struct Im2colConv {
  WindowGeometry geometry;
  std::int64_t filters;

  Tensor forward(const Tensor& x, const Tensor& kernel) const;
  Tensor kernel_gradient(const Tensor& x, const Tensor& dy) const;
  Tensor input_gradient(const Tensor& kernel, const Tensor& dy) const;
};

/// Depthwise ones, multiplier 1, dilation 1: loops over pixels and taps, with the channels
/// innermost for the compiler to vectorise. kernel is [h, w, C, 1].
struct LoopDepthwise {
  WindowGeometry geometry;

  Tensor forward(const Tensor& x, const Tensor& kernel) const;
  Tensor kernel_gradient(const Tensor& x, const Tensor& dy) const;
  Tensor input_gradient(const Tensor& kernel, const Tensor& dy) const;
};

/// x [N, K], kernel [K, F], dy [N, F]: one sgemm, cut for threads along the longest side that is
/// no sum.
struct BlasDense {
  std::int64_t images, inputs, outputs;

  Tensor forward(const Tensor& x, const Tensor& kernel) const;
  Tensor kernel_gradient(const Tensor& x, const Tensor& dy) const;
  Tensor input_gradient(const Tensor& kernel, const Tensor& dy) const;
};

}  // namespace perch::bench
