// Batch normalisation folded into the linear layer before it, so that training quantizes the kernel
// that the hardware will hold.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <perch/layers/batch_norm.h>
#include <perch/layers/model.h>
#include <perch/quant/config.h>

namespace perch {

/// A Conv2D, DepthwiseConv2D or Dense (kernel w, bias b) and the BatchNormalization behind it
/// (gamma, beta, mean m, deviation s = sqrt(variance + epsilon)) as one layer. The kernel that
/// computes is w gamma / s, the bias beta + (b - m) gamma / s.
///
/// In training, `batch` takes m and s from a convolution with w (Jacob et al. 2018, section 3.2).
/// `running` scales w by gamma and the moving deviation, which does not jump from batch to batch,
/// divides the result by the same and normalises it by the batch (Krishnamoorthi 2018, section
/// 3.2.2: correction; gamma learns in the normalisation). Both move the moving statistics. Where
/// the normalisation is frozen, and in inference, m and s are the moving ones: freezing it late in
/// training is the "freeze" of that method.
class FoldedBatchNorm final : public UnaryLayer {
 public:
  /// Named "folded_" + the linear layer's name. Throws Error(usage) for a layer of another kind or
  /// one with an activation function.
  FoldedBatchNorm(std::unique_ptr<Layer> linear, std::unique_ptr<BatchNorm> norm,
                  FoldStatistics statistics);

  std::string kind() const override { return "FoldedBatchNorm"; }
  void visit(Visitor& visitor) override;

  // apply() in its steps, for those who quantize the kernel between them.
  /// Kernel and bias to compute with, `given` ones in the place of the linear layer's own. `inputs`
  /// are needed in training only.
  Weights fold(const std::vector<Variable>& inputs, const Weights& given, const Context& context);
  /// Of what the linear layer has made of the inputs.
  Variable finish(const Variable& y, const Context& context);

  Layer& linear() { return *linear_; }
  const Layer& linear() const { return *linear_; }
  BatchNorm& norm() { return *norm_; }
  FoldStatistics statistics() const { return statistics_; }
  /// The two layers as they were; this one is empty then.
  std::pair<std::unique_ptr<Layer>, std::unique_ptr<BatchNorm>> release();

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  /// `weights`: the linear layer's.
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  bool corrects(const Context& context) const;
  Tensor running_factor() const;

  std::unique_ptr<Layer> linear_;
  std::unique_ptr<BatchNorm> norm_;
  FoldStatistics statistics_;
};

/// The layer whose weights a layer's own are: the linear one of a FoldedBatchNorm, else itself.
Layer& weighted_layer(Layer& layer);
const Layer& weighted_layer(const Layer& layer);

/// The BatchNormalization that can be folded into a node: it alone reads the node, which has a main
/// weight and no activation function, and is not quantized itself.
std::optional<NodeId> foldable_norm(const Model& model, NodeId node);
/// Puts a FoldedBatchNorm in the place of a node and the BatchNormalization behind it. Throws
/// Error(usage) where there is none.
void fold_batch_norm(Model& model, NodeId node, FoldStatistics statistics);
/// The other way for every FoldedBatchNorm of a model and of those in it that stands bare.
void unfold_batch_norms(Model& model);

}  // namespace perch
