// BatchNorm: batch normalisation of the last axis.
#pragma once

#include <string>

#include <perch/layers/layer.h>

namespace perch {

/// [..., C] -> [..., C]. Weights: gamma [C] (ones), beta [C] (zeros); buffers: moving_mean [C]
/// (zeros), moving_variance [C] (ones). Frozen, it normalises by the moving statistics.
/// Formulas: perch/core/ops/batch_norm.h.
class BatchNorm final : public UnaryLayer {
 public:
  struct Options {
    float momentum = 0.99f;
    float epsilon = 1e-3f;
    bool center = true;  ///< has beta
    bool scale = true;   ///< has gamma
    std::string name = {};
  };
  explicit BatchNorm(Options options);
  BatchNorm();

  std::string kind() const override { return "BatchNormalization"; }
  void visit(Visitor& visitor) override;
  const Options& options() const { return options_; }
  /// Whether it normalises by the batch and moves its statistics.
  bool learns_statistics(const Context& context) const {
    return context.training && trainable() && !statistics_frozen_;
  }
  /// Frozen, training too normalises by the moving statistics, which stay; gamma and beta learn.
  /// Saved with the model.
  void freeze_statistics(bool frozen) { statistics_frozen_ = frozen; }
  bool statistics_frozen() const { return statistics_frozen_; }
  Tensor& moving_mean() { return moving_mean_; }
  Tensor& moving_variance() { return moving_variance_; }

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  Options options_;
  Variable gamma_, beta_;
  Tensor moving_mean_, moving_variance_;
  bool statistics_frozen_ = false;
};

}  // namespace perch
