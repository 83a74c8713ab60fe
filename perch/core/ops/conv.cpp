#include <algorithm>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/conv.h>
#include <perch/core/ops/conv_gradient.h>
#include <perch/core/ops/conv_product.h>

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

Variable convolve(const char* op, const conv::Problem& problem, const Variable& x,
                  const Variable& kernel, const Variable& bias) {
  Tensor y(problem.output_shape());
  conv::Product(problem, x.value(), kernel.value(), bias.defined() ? bias.value() : Tensor())
      .run({.all = y.data()});

  const conv::Wanted wanted{x.requires_grad(), kernel.requires_grad(), bias.requires_grad()};
  std::vector<Variable> inputs{x, kernel};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(
      op, std::move(y), std::move(inputs),
      [problem, wanted, count = 2 + bias.defined(), x_value = wanted.kernel ? x.value() : Tensor(),
       kernel_value = kernel.value()](Tensor dy) {
        const conv::TensorSource source(x_value);
        conv::Gradients all = conv::gradients(problem, source, kernel_value,
                                              {.plain = std::as_const(dy).data()}, wanted);
        std::vector<Tensor> gradients{std::move(all.input), std::move(all.kernel)};
        if (count == 3) gradients.push_back(std::move(all.bias));
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
