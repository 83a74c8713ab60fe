// Convolutions: [N, H, W, C] activations, kernels as Keras stores them.
#pragma once

#include <cstdint>

#include <perch/core/variable.h>

namespace perch {

/// `same` pads as Keras does: outputs ceil(in / stride), the odd pixel at the bottom and right.
enum class Padding { valid, same };

/// Height and width; one number means both.
struct Size2D {
  Size2D(std::int64_t both) : height(both), width(both) {}
  Size2D(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  std::int64_t height, width;
  friend bool operator==(const Size2D&, const Size2D&) = default;
};

/// The placement of a sliding window: computed once, then handed on.
struct WindowGeometry {
  std::int64_t batch, in_height, in_width, channels;
  std::int64_t out_height, out_width;
  std::int64_t kernel_height, kernel_width;
  std::int64_t stride_height, stride_width;
  std::int64_t dilation_height, dilation_width;
  std::int64_t pad_top, pad_left;

  /// `input` is [N, H, W, C]. Throws Error(usage) naming `op` when rank, sizes or strides make no
  /// window, or when valid padding leaves no output.
  static WindowGeometry of(const char* op, const Shape& input, Size2D kernel, Size2D stride,
                           Padding padding, Size2D dilation = 1);
};

struct Conv2DOptions {
  Size2D stride = 1;
  Padding padding = Padding::valid;
  Size2D dilation = 1;
  std::int64_t groups = 1;  ///< splits input and output channels; conv2d only
};

/// Cross-correlation. x [N, H, W, C], kernel [h, w, C / groups, F], bias [F] or undefined;
/// result [N, H', W', F]. Throws Error(usage) when shapes or options do not agree.
Variable conv2d(const Variable& x, const Variable& kernel, const Variable& bias,
                const Conv2DOptions& options = {});

/// Each channel with its own filters. x [N, H, W, C], kernel [h, w, C, M], bias [C * M] or
/// undefined; result [N, H', W', C * M], channel c * M + m. Throws Error(usage) as conv2d does.
Variable depthwise_conv2d(const Variable& x, const Variable& kernel, const Variable& bias,
                          const Conv2DOptions& options = {});

}  // namespace perch
