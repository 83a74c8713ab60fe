#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/ops/conv.h>
#include <perch/core/ops/conv_walk.h>

namespace perch {
namespace {

struct Extent {
  std::int64_t out, pad;
};

// Keras pads the total that lets every stride's window start inside, the smaller half first.
Extent place_windows(std::int64_t in, std::int64_t kernel, std::int64_t stride,
                     std::int64_t dilation, Padding padding) {
  const std::int64_t reach = (kernel - 1) * dilation + 1;
  if (padding == Padding::valid) return {in < reach ? 0 : (in - reach) / stride + 1, 0};
  const std::int64_t out = (in + stride - 1) / stride;
  return {out, std::max<std::int64_t>((out - 1) * stride + reach - in, 0) / 2};
}

conv::AxisWindow rows_of(const WindowGeometry& g) {
  return {g.in_height,     g.out_height,      g.kernel_height,
          g.stride_height, g.dilation_height, g.pad_top};
}
conv::AxisWindow cols_of(const WindowGeometry& g) {
  return {g.in_width, g.out_width, g.kernel_width, g.stride_width, g.dilation_width, g.pad_left};
}

/// groups 0: depthwise.
struct Problem {
  WindowGeometry geometry;
  std::int64_t filters, groups;

  bool depthwise() const { return groups == 0; }
  std::int64_t multiplier() const { return depthwise() ? filters / geometry.channels : 1; }

  conv::Job forward() const {
    const WindowGeometry& g = geometry;
    return {.rows = conv::forward_walk(rows_of(g)),
            .cols = conv::forward_walk(cols_of(g)),
            .batch = g.batch,
            .src_height = g.in_height,
            .src_width = g.in_width,
            .src_channels = g.channels,
            .dst_height = g.out_height,
            .dst_width = g.out_width,
            .dst_channels = filters,
            .groups = groups,
            .repeat = multiplier()};
  }

  /// Gradient of the inputs of one phase; of a depthwise input, before adding its copies up.
  conv::Job input_gradient(std::int64_t row_phase, std::int64_t col_phase) const {
    const WindowGeometry& g = geometry;
    return {.rows = conv::gradient_walk(rows_of(g), row_phase),
            .cols = conv::gradient_walk(cols_of(g), col_phase),
            .batch = g.batch,
            .src_height = g.out_height,
            .src_width = g.out_width,
            .src_channels = filters,
            .dst_height = g.in_height,
            .dst_width = g.in_width,
            .dst_channels = g.channels * multiplier(),
            .groups = groups,
            .repeat = 1};
  }

  /// Steps through a kernel [h, w, channels per group, filters], or [h, w, channels, multiplier].
  conv::KernelLayout kernel_layout(bool backward) const {
    if (depthwise()) {
      return {.width = geometry.kernel_width, .tap = filters, .src = 0, .dst = 1, .group = 0};
    }
    return {.width = geometry.kernel_width,
            .tap = geometry.channels / groups * filters,
            .src = backward ? 1 : filters,
            .dst = backward ? filters : 1,
            .group = filters / groups};
  }
};

Tensor sum_copies(const Tensor& copies, std::int64_t count) {
  const std::span<const float> from = copies.values();
  const Shape& shape = copies.shape();
  Tensor sums({shape[0], shape[1], shape[2], shape[3] / count});
  std::size_t next = 0;
  for (float& sum : sums.values()) {
    sum = from[next++];
    for (std::int64_t m = 1; m < count; ++m) sum += from[next++];
  }
  return sums;
}

Tensor input_gradient(const Problem& problem, const Tensor& kernel, const Tensor& dy) {
  const WindowGeometry& g = problem.geometry;
  Tensor dx({g.batch, g.in_height, g.in_width, g.channels * problem.multiplier()});
  for (std::int64_t row = 0; row < std::min(g.stride_height, g.in_height); ++row) {
    for (std::int64_t col = 0; col < std::min(g.stride_width, g.in_width); ++col) {
      const conv::Job job = problem.input_gradient(row, col);
      const Tensor packed = conv::pack_kernel(job, kernel, problem.kernel_layout(true));
      conv::product(job, dy, packed, {}, dx);
    }
  }
  return problem.multiplier() == 1 ? dx : sum_copies(dx, problem.multiplier());
}

Variable convolve(const char* op, const Problem& problem, const Variable& x, const Variable& kernel,
                  const Variable& bias) {
  const conv::Job job = problem.forward();
  Tensor y({job.batch, job.dst_height, job.dst_width, job.dst_channels});
  conv::product(job, x.value(),
                conv::pack_kernel(job, kernel.value(), problem.kernel_layout(false)),
                bias.defined() ? bias.value() : Tensor(), y);

  const bool input_wanted = x.requires_grad();
  const bool kernel_wanted = kernel.requires_grad();
  const bool bias_wanted = bias.requires_grad();
  std::vector<Variable> inputs{x, kernel};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(
      op, std::move(y), std::move(inputs),
      [problem, job, input_wanted, kernel_wanted, bias_wanted, count = 2 + bias.defined(),
       x_value = kernel_wanted ? x.value() : Tensor(), kernel_value = kernel.value()](Tensor dy) {
        std::vector<Tensor> gradients(static_cast<std::size_t>(count));
        if (input_wanted) gradients[0] = input_gradient(problem, kernel_value, dy);
        if (kernel_wanted || bias_wanted) {
          conv::WeightGradients weights =
              conv::weight_gradients(job, x_value, dy, kernel_wanted, bias_wanted);
          if (kernel_wanted) gradients[1] = weights.kernel.reshape(kernel_value.shape());
          if (bias_wanted) gradients[2] = std::move(weights.bias);
        }
        return gradients;
      });
}

void check_bias(const char* op, const Variable& bias, std::int64_t filters) {
  PERCH_CHECK(!bias.defined() || bias.shape() == Shape{filters},
              "{}: bias of shape {}, but there are {} output channels: it must be [{}]", op,
              bias.shape().to_string(), filters, filters);
}

}  // namespace

WindowGeometry WindowGeometry::of(const char* op, const Shape& input, Size2D kernel, Size2D stride,
                                  Padding padding, Size2D dilation) {
  PERCH_CHECK(input.rank() == 4, "{}: input of shape {}, but it must be [N, H, W, C]", op,
              input.to_string());
  PERCH_CHECK(
      input[1] >= 1 && input[2] >= 1 && input[3] >= 1,
      "{}: input of shape {} has no elements: height, width and channels must be at least 1", op,
      input.to_string());
  const auto check_positive = [op](const char* what, Size2D size) {
    PERCH_CHECK(size.height >= 1 && size.width >= 1, "{}: {} {}x{}, but both must be at least 1",
                op, what, size.height, size.width);
  };
  check_positive("window", kernel);
  check_positive("stride", stride);
  check_positive("dilation", dilation);
  const Extent rows =
      place_windows(input[1], kernel.height, stride.height, dilation.height, padding);
  const Extent cols = place_windows(input[2], kernel.width, stride.width, dilation.width, padding);
  PERCH_CHECK(
      rows.out >= 1 && cols.out >= 1,
      "{}: a {}x{} window (dilation {}x{}) does not fit into input {}: use padding same or a "
      "smaller window",
      op, kernel.height, kernel.width, dilation.height, dilation.width, input.to_string());
  return {.batch = input[0],
          .in_height = input[1],
          .in_width = input[2],
          .channels = input[3],
          .out_height = rows.out,
          .out_width = cols.out,
          .kernel_height = kernel.height,
          .kernel_width = kernel.width,
          .stride_height = stride.height,
          .stride_width = stride.width,
          .dilation_height = dilation.height,
          .dilation_width = dilation.width,
          .pad_top = rows.pad,
          .pad_left = cols.pad};
}

Variable conv2d(const Variable& x, const Variable& kernel, const Variable& bias,
                const Conv2DOptions& options) {
  const Shape& k = kernel.shape();
  PERCH_CHECK(k.rank() == 4, "conv2d: kernel of shape {}, but it must be [h, w, C / groups, F]",
              k.to_string());
  const WindowGeometry geometry = WindowGeometry::of(
      "conv2d", x.shape(), {k[0], k[1]}, options.stride, options.padding, options.dilation);
  PERCH_CHECK(options.groups >= 1, "conv2d: {} groups, but there must be at least 1",
              options.groups);
  PERCH_CHECK(k[3] >= 1 && geometry.channels % options.groups == 0 && k[3] % options.groups == 0,
              "conv2d: {} input and {} output channels do not split into {} groups",
              geometry.channels, k[3], options.groups);
  PERCH_CHECK(k[2] == geometry.channels / options.groups,
              "conv2d: input {} has {} channels in {} group(s), but the kernel {} takes {} each",
              x.shape().to_string(), geometry.channels, options.groups, k.to_string(), k[2]);
  check_bias("conv2d", bias, k[3]);
  return convolve("conv2d", {geometry, k[3], options.groups}, x, kernel, bias);
}

Variable depthwise_conv2d(const Variable& x, const Variable& kernel, const Variable& bias,
                          const Conv2DOptions& options) {
  const Shape& k = kernel.shape();
  PERCH_CHECK(k.rank() == 4, "depthwise_conv2d: kernel of shape {}, but it must be [h, w, C, M]",
              k.to_string());
  const WindowGeometry geometry =
      WindowGeometry::of("depthwise_conv2d", x.shape(), {k[0], k[1]}, options.stride,
                         options.padding, options.dilation);
  PERCH_CHECK(options.groups == 1,
              "depthwise_conv2d: {} groups, but every channel is a group of its own: leave it at 1",
              options.groups);
  PERCH_CHECK(k[2] == geometry.channels && k[3] >= 1,
              "depthwise_conv2d: input {} has {} channels, but the kernel {} takes {}",
              x.shape().to_string(), geometry.channels, k.to_string(), k[2]);
  check_bias("depthwise_conv2d", bias, k[2] * k[3]);
  constexpr std::int64_t depthwise = 0;
  return convolve("depthwise_conv2d", {geometry, k[2] * k[3], depthwise}, x, kernel, bias);
}

}  // namespace perch
