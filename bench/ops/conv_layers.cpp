#include "conv_layers.h"

#include <fmt/format.h>

namespace perch::bench {

std::string ConvLayer::title() const {
  return fmt::format(
      "{} {}x{}{}{}, {}, {}x{}{}", depthwise() ? "depthwise" : "conv2d", kernel, kernel,
      stride > 1 ? fmt::format(" stride {}", stride) : "",
      dilation > 1 ? fmt::format(" dilation {}", dilation) : "",
      depthwise() ? fmt::to_string(channels) : fmt::format("{} to {}", channels, filters), size,
      size, name.empty() ? "" : fmt::format(" ({})", name));
}

Shape ConvLayer::input_shape() const {
  return {64, size, size, channels};
}

Shape ConvLayer::kernel_shape() const {
  return {kernel, kernel, channels, depthwise() ? 1 : filters};
}

WindowGeometry ConvLayer::geometry() const {
  return WindowGeometry::of("bench", input_shape(), kernel, stride, Padding::same, dilation);
}

Shape ConvLayer::output_shape() const {
  const WindowGeometry g = geometry();
  return {g.batch, g.out_height, g.out_width, depthwise() ? channels : filters};
}

double ConvLayer::flops() const {
  return 2.0 * static_cast<double>(output_shape().size()) *
         static_cast<double>(kernel * kernel * (depthwise() ? 1 : channels));
}

Variable ConvLayer::convolve(const Variable& x, const Variable& weights) const {
  const Conv2DOptions options{.stride = stride, .padding = Padding::same, .dilation = dilation};
  return depthwise() ? depthwise_conv2d(x, weights, {}, options) : conv2d(x, weights, {}, options);
}

}  // namespace perch::bench
