// A convolution as the tables of benchmarks name it.
#pragma once

#include <string>

#include <perch/core/ops/conv.h>

namespace perch::bench {

/// Square images and windows, same padding, batch 64. Without filters: depthwise.
struct ConvLayer {
  std::string name;  ///< where it is from; may be empty
  std::int64_t size, channels, kernel;
  std::int64_t filters = 0, stride = 1, dilation = 1;

  bool depthwise() const { return filters == 0; }
  /// "conv2d 3x3 stride 2, 16 to 32, 32x32 (resnet20)"
  std::string title() const;

  Shape input_shape() const;
  Shape kernel_shape() const;
  Shape output_shape() const;
  WindowGeometry geometry() const;
  /// Of a forward pass, padding counted: what each gradient takes, too.
  double flops() const;
  Variable convolve(const Variable& x, const Variable& weights) const;
};

}  // namespace perch::bench
