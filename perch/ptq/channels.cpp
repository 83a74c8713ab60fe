#include <algorithm>
#include <cmath>

#include <perch/layers/conv.h>
#include <perch/layers/state.h>
#include <perch/ptq/channels.h>
#include <perch/ptq/parts.h>
#include <perch/quant/config.h>

namespace perch {
namespace {

float scaled(float value, double factor) {
  return static_cast<float>(static_cast<double>(value) * factor);
}

void raise(double& largest, float value) {
  largest = std::max(largest, std::abs(static_cast<double>(value)));
}

}  // namespace

Channels::Channels(Layer& layer)
    : kernel_(find_weight(layer, main_weight(layer.kind()))), bias_(find_weight(layer, "bias")) {
  const Shape& shape = kernel_->shape();
  columns_ = shape[-1];
  rows_ = shape[-2];
  outputs_ = layer.kind() == "DepthwiseConv2D" ? rows_ * columns_ : columns_;
  const auto* const convolution = dynamic_cast<const Conv2D*>(&layer);
  per_group_ = convolution == nullptr ? columns_ : columns_ / convolution->options().groups;
}

// Kernels are [.., rows, columns]; output channels are the columns, or in a depthwise layer rows
// times columns.
std::int64_t Channels::input_of(std::int64_t element, std::int64_t count) const {
  const std::int64_t group = element % columns_ / per_group_;
  return (group * rows_ + element / columns_ % rows_) % count;
}

std::vector<double> Channels::output_kernel() const {
  std::vector<double> largest(static_cast<std::size_t>(outputs_), 0.0);
  std::int64_t element = 0;
  for (const float value : kernel_->value().values()) {
    raise(largest[static_cast<std::size_t>(element++ % outputs_)], value);
  }
  return largest;
}

std::vector<double> Channels::output_bias() const {
  std::vector<double> largest(static_cast<std::size_t>(outputs_), 0.0);
  if (bias_ == nullptr) return largest;
  std::size_t i = 0;
  for (const float value : bias_->value().values()) raise(largest[i++], value);
  return largest;
}

std::vector<double> Channels::input_kernel(std::int64_t count) const {
  std::vector<double> largest(static_cast<std::size_t>(count), 0.0);
  std::int64_t element = 0;
  for (const float value : kernel_->value().values()) {
    raise(largest[static_cast<std::size_t>(input_of(element++, count))], value);
  }
  return largest;
}

void Channels::divide_outputs(const std::vector<double>& scales) {
  for (Variable* const weight : {kernel_, bias_}) {
    if (weight == nullptr) continue;
    std::int64_t element = 0;
    for (float& value : weight->mutable_value().values()) {
      value = scaled(value, 1.0 / scales[static_cast<std::size_t>(element++ % outputs_)]);
    }
  }
}

void Channels::multiply_inputs(const std::vector<double>& scales) {
  const auto count = static_cast<std::int64_t>(scales.size());
  std::int64_t element = 0;
  for (float& value : kernel_->mutable_value().values()) {
    value = scaled(value, scales[static_cast<std::size_t>(input_of(element++, count))]);
  }
}

}  // namespace perch
