#include <perch/core/check.h>
#include <perch/core/ops/activation.h>
#include <perch/core/ops/elementwise.h>
#include <perch/layers/activations.h>
#include <perch/layers/config_fields.h>

namespace perch {

Activation::Activation(std::string activation, Options options)
    : activation_(std::move(activation)) {
  set_name(std::move(options.name));
}
Activation::Activation(std::string activation) : Activation(std::move(activation), Options{}) {}

Shape Activation::build_one(const Shape& input, const WeightInit&) {
  check_activation(activation_);
  return input;
}
Variable Activation::apply_one(const Variable& x, const Weights&, const Context& context) {
  return activate(activation_, x, context);
}
void Activation::visit(Visitor& visitor) {
  visitor.config("activation", activation_);
}

ReLU::ReLU(Options options) : options_(std::move(options)) {
  set_name(options_.name);
}
ReLU::ReLU() : ReLU(Options{}) {}

Shape ReLU::build_one(const Shape& input, const WeightInit&) {
  PERCH_CHECK(options_.max_value >= 0.0f, "max_value {} is below 0", options_.max_value);
  return input;
}
Variable ReLU::apply_one(const Variable& x, const Weights&, const Context&) {
  const auto [limit, slope, name] = options_;
  if (limit == 6.0f && slope == 0.0f) return relu6(x);
  const Variable y = slope == 0.0f ? relu(x) : leaky_relu(x, slope);
  if (limit == 0.0f) return y;
  // min(y, limit) = y - relu(x - limit), which leaves values below the limit untouched.
  const Variable excess = relu(add(x, Variable(Tensor::scalar(-limit))));
  return add(y, multiply(excess, Variable(Tensor::scalar(-1.0f))));
}
void ReLU::visit(Visitor& visitor) {
  visitor.config("max_value", options_.max_value);
  visitor.config("negative_slope", options_.negative_slope);
}

LeakyReLU::LeakyReLU(Options options) : options_(std::move(options)) {
  set_name(options_.name);
}
LeakyReLU::LeakyReLU() : LeakyReLU(Options{}) {}

Shape LeakyReLU::build_one(const Shape& input, const WeightInit&) {
  return input;
}
Variable LeakyReLU::apply_one(const Variable& x, const Weights&, const Context&) {
  return leaky_relu(x, options_.alpha);
}
void LeakyReLU::visit(Visitor& visitor) {
  visitor.config("alpha", options_.alpha);
}

Softmax::Softmax(Options options) {
  set_name(std::move(options.name));
}
Softmax::Softmax() : Softmax(Options{}) {}

Shape Softmax::build_one(const Shape& input, const WeightInit&) {
  return input;
}
Variable Softmax::apply_one(const Variable& x, const Weights&, const Context&) {
  return softmax(x);
}
void Softmax::visit(Visitor&) {}

}  // namespace perch
