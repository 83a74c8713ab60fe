// Function table of the pooling kernels. Each call does one image: x [in_height, in_width,
// channels], y [out_height, out_width, channels].
#pragma once

#include <cstdint>

namespace perch::kernels {

struct PoolGeometry {
  std::int64_t in_height, in_width, channels;
  std::int64_t out_height, out_width;
  std::int64_t window_height, window_width;
  std::int64_t stride_height, stride_width;
  std::int64_t pad_top, pad_left;
};

struct PoolKernels {
  /// Over the pixels of the window that lie in the image; every window has one. NaN wins.
  void (*max)(float* y, const float* x, const PoolGeometry& geometry);
  /// dx is overwritten; dy goes to the first pixel that equals y.
  void (*max_gradient)(float* dx, const float* dy, const float* x, const float* y,
                       const PoolGeometry& geometry);
  void (*average)(float* y, const float* x, const PoolGeometry& geometry);
  void (*average_gradient)(float* dx, const float* dy, const PoolGeometry& geometry);
};

}  // namespace perch::kernels
