#include <utility>

#include <perch/core/check.h>
#include <perch/optim/optimizer.h>

namespace perch {

void Optimizer::step(std::vector<Parameter>& parameters, float learning_rate) {
  ++iterations_;
  float rate = learning_rate;
  begin_step(rate);
  for (Parameter& parameter : parameters) {
    const Tensor gradient = parameter.variable.take_grad();
    if (gradient.empty()) continue;
    Tensor& value = parameter.variable.mutable_value();
    PERCH_CHECK(gradient.shape() == value.shape(), "{}: gradient of shape {} for a value of {}",
                parameter.name, gradient.shape().to_string(), value.shape().to_string());
    if (const float own = learning_rate * parameter.rate_factor; own != rate)
      begin_step(rate = own);
    weight_decay_ = parameter.weight_decay;
    update(parameter.name, value, gradient);
  }
}

void Optimizer::set_state(std::int32_t iterations, Slots slots) {
  iterations_ = iterations;
  slots_ = std::move(slots);
}

void Optimizer::visit(Visitor& visitor) {
  visitor.counter("iterations", iterations_);
  for (auto& [slot, tensors] : slots_) {
    for (auto& [name, tensor] : tensors) visitor.buffer(slot + "/" + name, tensor);
  }
}

Tensor& Optimizer::slot(const std::string& slot, const std::string& name, const Shape& shape) {
  Tensor& tensor = slots_[slot][name];
  if (tensor.empty()) tensor = Tensor::zeros(shape);
  PERCH_CHECK(tensor.shape() == shape, "{}: optimizer state {} has shape {}, the value has {}",
              name, slot, tensor.shape().to_string(), shape.to_string());
  return tensor;
}

}  // namespace perch
