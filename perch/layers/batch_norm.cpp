#include <perch/core/check.h>
#include <perch/core/ops/batch_norm.h>
#include <perch/layers/batch_norm.h>

namespace perch {

BatchNorm::BatchNorm(Options options) : options_(std::move(options)) {
  set_name(options_.name);
}
BatchNorm::BatchNorm() : BatchNorm(Options{}) {}

Shape BatchNorm::build_one(const Shape& input, const WeightInit&) {
  PERCH_CHECK(options_.momentum >= 0.0f && options_.momentum <= 1.0f,
              "momentum {} is outside of [0, 1]", options_.momentum);
  PERCH_CHECK(options_.epsilon > 0.0f, "epsilon {} must be positive", options_.epsilon);
  PERCH_CHECK(input.rank() >= 1, "needs an input with a last axis, got a single number");
  const Shape channels{input[-1]};
  if (options_.scale) gamma_ = Variable(Tensor::full(channels, 1.0f), true);
  if (options_.center) beta_ = Variable(Tensor::zeros(channels), true);
  moving_mean_ = Tensor::zeros(channels);
  moving_variance_ = Tensor::full(channels, 1.0f);
  return input;
}

Variable BatchNorm::apply_one(const Variable& x, const Weights& weights, const Context& context) {
  return batch_norm(x, weights.find("gamma"), weights.find("beta"), moving_mean_, moving_variance_,
                    {.momentum = options_.momentum,
                     .epsilon = options_.epsilon,
                     .training = learns_statistics(context)});
}

void BatchNorm::visit(Visitor& visitor) {
  visitor.config("momentum", options_.momentum);
  visitor.config("epsilon", options_.epsilon);
  visitor.config("center", options_.center);
  visitor.config("scale", options_.scale);
  if (visitor.has("statistics_frozen")) visitor.config("statistics_frozen", statistics_frozen_);
  if (options_.scale) visitor.weight("gamma", gamma_);
  if (options_.center) visitor.weight("beta", beta_);
  visitor.buffer("moving_mean", moving_mean_);
  visitor.buffer("moving_variance", moving_variance_);
}

}  // namespace perch
