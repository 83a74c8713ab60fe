#include <perch/core/check.h>
#include <perch/layers/config_fields.h>
#include <perch/layers/conv.h>

namespace perch {

Conv2D::Conv2D(std::int64_t filters, Size2D kernel_size, Options options)
    : filters_(filters), kernel_size_(kernel_size), options_(std::move(options)) {
  set_name(options_.name);
}
Conv2D::Conv2D(std::int64_t filters, Size2D kernel_size)
    : Conv2D(filters, kernel_size, Options{}) {}

Shape Conv2D::build_one(const Shape& input, const WeightInit& init) {
  PERCH_CHECK(filters_ >= 1, "needs at least one filter, got {}", filters_);
  check_activation(options_.activation);
  const auto window = WindowGeometry::of("conv2d", input.batched(1), kernel_size_, options_.strides,
                                         options_.padding, options_.dilation);
  const std::int64_t groups = options_.groups;
  PERCH_CHECK(groups >= 1 && window.channels % groups == 0 && filters_ % groups == 0,
              "{} groups do not divide {} input channels and {} filters", groups, window.channels,
              filters_);
  const Shape kernel{kernel_size_.height, kernel_size_.width, window.channels / groups, filters_};
  kernel_ = Variable(init.glorot_uniform(full_name("kernel"), kernel), true);
  if (options_.use_bias) bias_ = Variable(Tensor::zeros({filters_}), true);
  return {window.out_height, window.out_width, filters_};
}

Variable Conv2D::apply_one(const Variable& x, const Weights& weights, const Context& context) {
  const Conv2DOptions placement{.stride = options_.strides,
                                .padding = options_.padding,
                                .dilation = options_.dilation,
                                .groups = options_.groups};
  return activate(options_.activation,
                  conv2d(x, weights["kernel"], weights.find("bias"), placement), context);
}

void Conv2D::visit(Visitor& visitor) {
  visitor.config("filters", filters_);
  visit_size(visitor, "kernel_size", kernel_size_);
  visit_size(visitor, "strides", options_.strides);
  visit_padding(visitor, "padding", options_.padding);
  visit_size(visitor, "dilation_rate", options_.dilation);
  visitor.config("groups", options_.groups);
  visitor.config("activation", options_.activation);
  visitor.config("use_bias", options_.use_bias);
  visitor.weight("kernel", kernel_);
  if (options_.use_bias) visitor.weight("bias", bias_);
}

DepthwiseConv2D::DepthwiseConv2D(Size2D kernel_size, Options options)
    : kernel_size_(kernel_size), options_(std::move(options)) {
  set_name(options_.name);
}
DepthwiseConv2D::DepthwiseConv2D(Size2D kernel_size) : DepthwiseConv2D(kernel_size, Options{}) {}

Shape DepthwiseConv2D::build_one(const Shape& input, const WeightInit& init) {
  PERCH_CHECK(options_.depth_multiplier >= 1, "depth_multiplier {} must be at least 1",
              options_.depth_multiplier);
  check_activation(options_.activation);
  const auto window = WindowGeometry::of("depthwise_conv2d", input.batched(1), kernel_size_,
                                         options_.strides, options_.padding, options_.dilation);
  const Shape kernel{kernel_size_.height, kernel_size_.width, window.channels,
                     options_.depth_multiplier};
  const std::int64_t outputs = window.channels * options_.depth_multiplier;
  kernel_ = Variable(init.glorot_uniform(full_name("depthwise_kernel"), kernel), true);
  if (options_.use_bias) bias_ = Variable(Tensor::zeros({outputs}), true);
  return {window.out_height, window.out_width, outputs};
}

Variable DepthwiseConv2D::apply_one(const Variable& x, const Weights& weights,
                                    const Context& context) {
  const Conv2DOptions placement{
      .stride = options_.strides, .padding = options_.padding, .dilation = options_.dilation};
  return activate(options_.activation,
                  depthwise_conv2d(x, weights["depthwise_kernel"], weights.find("bias"), placement),
                  context);
}

void DepthwiseConv2D::visit(Visitor& visitor) {
  visit_size(visitor, "kernel_size", kernel_size_);
  visit_size(visitor, "strides", options_.strides);
  visit_padding(visitor, "padding", options_.padding);
  visit_size(visitor, "dilation_rate", options_.dilation);
  visitor.config("depth_multiplier", options_.depth_multiplier);
  visitor.config("activation", options_.activation);
  visitor.config("use_bias", options_.use_bias);
  visitor.weight("depthwise_kernel", kernel_);
  if (options_.use_bias) visitor.weight("bias", bias_);
}

}  // namespace perch
