// Quantizer: fake-quantizes one tensor and owns the state that this takes.
#pragma once

#include <memory>
#include <vector>

#include <perch/core/ops/fake_quant.h>
#include <perch/layers/layer.h>
#include <perch/quant/spec.h>

namespace perch {

class Quantizer : public Visitable {
 public:
  /// Creates the state for tensors of this shape. `channel_axes` are those that per_channel means.
  /// Throws Error(usage) for axes that the shape does not have.
  virtual void build(const Shape& shape, const std::vector<int>& channel_axes) = 0;
  /// Training moves the range first; otherwise no state changes. Straight-through gradient; none
  /// flows to the range.
  virtual Variable operator()(const Variable& x, const Context& context) = 0;
};

/// The range-tracking quantizer of a QuantSpec: state "min" and "max", shape [] or [count]. NaN is
/// passed over. A Fixed range is state too, so that files and inspection show it, and quantizes as
/// TensorFlow's op for constant ranges does.
class RangeQuantizer final : public Quantizer {
 public:
  explicit RangeQuantizer(QuantSpec spec);

  void build(const Shape& shape, const std::vector<int>& channel_axes) override;
  Variable operator()(const Variable& x, const Context& context) override;
  void visit(Visitor& visitor) override;

  /// Moves the ranges as training on a tensor of these extremes does.
  void track(const TensorRange& seen);

  const QuantSpec& spec() const { return spec_; }
  /// The axes with ranges of their own, resolved by build(); empty when per tensor.
  const std::vector<int>& axes() const { return axes_; }
  const Tensor& min() const { return min_; }
  const Tensor& max() const { return max_; }
  /// Puts ranges back that these once were.
  void restore(const Tensor& min, const Tensor& max);
  /// The grid of each range: scale and zero point for inspection and export.
  std::vector<QuantGrid> grids() const;

 private:
  QuantSpec spec_;
  std::vector<int> axes_;
  Tensor min_, max_;
};

}  // namespace perch
