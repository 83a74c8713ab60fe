#include <cmath>

#include <perch/core/check.h>
#include <perch/core/ops/activation.h>
#include <perch/core/profile.h>
#include <perch/layers/layer.h>

namespace perch {
namespace {

// A layer's own weights only: those of children and parts belong to them.
class OwnWeights final : public Visitor {
 public:
  explicit OwnWeights(bool gradients) : gradients_(gradients) {}
  void weight(std::string_view name, Variable& value) override {
    weights.set(name, gradients_ || !value.defined() ? value : value.detach());
  }
  void child(std::string_view, Visitable&) override {}
  void part(std::string_view, Visitable&) override {}

  Weights weights;

 private:
  bool gradients_;
};

}  // namespace

void Weights::set(std::string_view name, Variable value) {
  for (auto& [key, held] : items_) {
    if (key == name) {
      held = std::move(value);
      return;
    }
  }
  items_.emplace_back(name, std::move(value));
}

bool Weights::contains(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (key == name) return true;
  }
  return false;
}

const Variable& Weights::operator[](std::string_view name) const {
  std::string known;
  for (const auto& [key, value] : items_) {
    if (key == name) return value;
    known += known.empty() ? key : ", " + key;
  }
  fail(ErrorCode::usage, "there is no weight \"{}\" here, only: {}", name,
       known.empty() ? "none" : known);
}

Variable Weights::find(std::string_view name) const {
  return contains(name) ? (*this)[name] : Variable();
}

Tensor WeightInit::glorot_uniform(std::string_view full_name, const Shape& shape) const {
  const int rank = shape.rank();
  double receptive_field = 1.0;
  for (int axis = 0; axis < rank - 2; ++axis) receptive_field *= static_cast<double>(shape[axis]);
  const double fan_out = rank == 0 ? 1.0 : receptive_field * static_cast<double>(shape[-1]);
  const double fan_in = rank < 2 ? fan_out : receptive_field * static_cast<double>(shape[-2]);
  const auto limit = static_cast<float>(std::sqrt(6.0 / (fan_in + fan_out)));

  const Random random(seed_, full_name);
  Tensor result(shape);
  std::uint64_t index = 0;
  for (float& value : result.values()) value = random.uniform(index++, -limit, limit);
  return result;
}

void Layer::connect(const Model&, int) {}

Variable Layer::operator()(const std::vector<Variable>& inputs, const Context& context) {
  const ProfileScope scope("forward", name_, kind());
  for (const Variable& input : inputs) count_bytes({&input.value()});
  const Context own = own_context(context);
  const Variable output = apply(inputs, own_weights(own), own);
  count_bytes({&output.value()});
  return output;
}

Weights Layer::own_weights(const Context& context) {
  OwnWeights own(context.gradients && trainable_);
  visit(own);
  return std::move(own.weights);
}

Variable Layer::activate(const std::string& activation, Variable x, const Context& context) {
  if (context.before_activation) x = context.before_activation(std::move(x));
  return activation == "linear" ? x : perch::activation(activation, x);
}

std::string Layer::full_name(std::string_view weight) const {
  return fmt::format("{}/{}", name_, weight);
}

Shape UnaryLayer::build(const std::vector<Shape>& inputs, const WeightInit& init) {
  PERCH_CHECK(inputs.size() == 1, "takes one input, got {}", inputs.size());
  return build_one(inputs[0], init);
}

Variable UnaryLayer::apply(const std::vector<Variable>& inputs, const Weights& weights,
                           const Context& context) {
  PERCH_CHECK(inputs.size() == 1, "takes one input, got {}", inputs.size());
  return apply_one(inputs[0], weights, context);
}

}  // namespace perch
