#include <perch/core/check.h>
#include <perch/core/ops/elementwise.h>
#include <perch/layers/dropout.h>

namespace perch {

Dropout::Dropout(float rate, Options options) : rate_(rate) {
  set_name(std::move(options.name));
}
Dropout::Dropout(float rate) : Dropout(rate, Options{}) {}

Shape Dropout::build_one(const Shape& input, const WeightInit&) {
  PERCH_CHECK(rate_ >= 0.0f && rate_ < 1.0f, "rate {} is outside of [0, 1)", rate_);
  return input;
}

Variable Dropout::apply_one(const Variable& x, const Weights&, const Context& context) {
  if (!context.training || rate_ == 0.0f) return x;
  return dropout(x, rate_, Random(context.seed, full_name("mask"), context.step));
}

void Dropout::visit(Visitor& visitor) {
  visitor.config("rate", rate_);
}

}  // namespace perch
