#include <perch/core/check.h>
#include <perch/core/ops/dense.h>
#include <perch/core/ops/elementwise.h>
#include <perch/layers/config_fields.h>
#include <perch/layers/dense.h>

namespace perch {
namespace {

std::vector<std::int64_t> with_last(const Shape& shape, std::int64_t last) {
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  extents.back() = last;
  return extents;
}

}  // namespace

Dense::Dense(std::int64_t units, Options options) : units_(units), options_(std::move(options)) {
  set_name(options_.name);
}
Dense::Dense(std::int64_t units) : Dense(units, Options{}) {}

Shape Dense::build_one(const Shape& input, const WeightInit& init) {
  PERCH_CHECK(units_ >= 1, "needs at least one unit, got {}", units_);
  PERCH_CHECK(input.rank() >= 1, "needs an input with a last axis, got a single number");
  check_activation(options_.activation);
  kernel_ = Variable(init.glorot_uniform(full_name("kernel"), {input[-1], units_}), true);
  if (options_.use_bias) bias_ = Variable(Tensor::zeros({units_}), true);
  return Shape(with_last(input, units_));
}

Variable Dense::apply_one(const Variable& x, const Weights& weights, const Context& context) {
  const Variable& kernel = weights["kernel"];
  const Variable bias = weights.find("bias");
  if (x.shape().rank() == 2) {
    return activate(options_.activation, dense(x, kernel, bias), context);
  }
  const Variable rows = reshape(x, {-1, x.shape()[-1]});
  const Variable y = reshape(dense(rows, kernel, bias), with_last(x.shape(), units_));
  return activate(options_.activation, y, context);
}

void Dense::visit(Visitor& visitor) {
  visitor.config("units", units_);
  visitor.config("activation", options_.activation);
  visitor.config("use_bias", options_.use_bias);
  visitor.weight("kernel", kernel_);
  if (options_.use_bias) visitor.weight("bias", bias_);
}

}  // namespace perch
