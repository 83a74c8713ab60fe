// How convolutions and their gradients are cut into chunks and handed to the kernels: all of them
// are walks of windows over a zero-padded source. Private to ops/conv.cpp.
#pragma once

#include <cstdint>

#include <perch/core/tensor.h>

namespace perch::conv {

/// One axis of a walk. Destination position a * dst_step + dst_first, a in [0, count), is made of
/// source positions a * src_step + src_first + i * tap_step (zero where outside), tap i in
/// [0, taps), weighted with element kernel_first + i * kernel_step of the kernel.
struct AxisWalk {
  std::int64_t count, dst_step, dst_first;
  std::int64_t src_step, src_first;
  std::int64_t taps, tap_step;
  std::int64_t kernel_first, kernel_step;
};

/// One axis of a window: `in` positions, `out` windows.
struct AxisWindow {
  std::int64_t in, out, kernel, stride, dilation, pad;
};

/// From inputs to outputs.
AxisWalk forward_walk(const AxisWindow& window);
/// From output gradients to those of the inputs phase, phase + stride, ... Each phase meets an
/// evenly spaced part of the kernel, perhaps none of it.
AxisWalk gradient_walk(const AxisWindow& window, std::int64_t phase);

struct Job {
  AxisWalk rows, cols;
  std::int64_t batch;
  std::int64_t src_height, src_width, src_channels;
  std::int64_t dst_height, dst_width, dst_channels;
  std::int64_t groups;  ///< of channels that see each other only; 0: depthwise
  std::int64_t repeat;  ///< depthwise: destination channels per source channel

  bool depthwise() const { return groups == 0; }
  std::int64_t src_group() const { return depthwise() ? 1 : src_channels / groups; }
  std::int64_t dst_group() const { return depthwise() ? dst_channels : dst_channels / groups; }
};

/// Where element (row, col, source channel, destination channel) of one group lies in a kernel.
struct KernelLayout {
  std::int64_t width, tap;  ///< taps per row of the kernel, floats per tap
  std::int64_t src, dst, group;
};

/// The job's part of a kernel in the order that the forward kernels take. For the active kernels.
Tensor pack_kernel(const Job& job, const Tensor& kernel, const KernelLayout& layout);

/// Destination = walk of the source with packed weights, plus bias ([dst_channels] or empty).
void product(const Job& job, const Tensor& source, const Tensor& packed, const Tensor& bias,
             Tensor& destination);

struct WeightGradients {
  Tensor kernel;  ///< [taps, source channels per group, dst_channels], flat
  Tensor bias;    ///< [dst_channels]
};
/// Gradients of a forward job's kernel and bias; the one not asked for stays empty.
WeightGradients weight_gradients(const Job& job, const Tensor& source, const Tensor& gradient,
                                 bool want_kernel, bool want_bias);

}  // namespace perch::conv
