// RangeQuantizer: rounds to the grid of a range that follows the values in training.
#pragma once

#include <vector>

#include <perch/core/ops/fake_quant.h>
#include <perch/quant/quantizer.h>

namespace perch {

struct Range;

/// State "min" and "max", shape [] or [count], and "updates" where the policy counts its steps.
/// Straight-through gradient; none flows to the range. NaN is passed over where the range follows
/// the extremes; a search refuses it, and looks at 32,768 values of a range at most. A Fixed range
/// is state too, so that files and inspection show it, and quantizes as TensorFlow's op for
/// constant ranges does.
class RangeQuantizer final : public SpecQuantizer {
 public:
  explicit RangeQuantizer(QuantSpec spec);

  /// Moves the ranges as training on a tensor of these extremes does; for policies for which
  /// follows_extremes().
  void track(const TensorRange& seen);

  // The range as it was tracked; power_of_two_scale widens it where it is used.
  const Tensor& min() const { return min_; }
  const Tensor& max() const { return max_; }
  std::vector<QuantGrid> grids() const override;

  struct State {
    Tensor min, max;
    std::int32_t updates;
  };
  State state() const;
  /// Puts back what state() once was.
  void restore(const State& state);

 protected:
  void create_state(const Shape& ranges) override;
  void observe(const Tensor& x, const Context& context) override;
  Variable quantize(const Variable& x, const Context& context) override;
  void visit_state(Visitor& visitor) override;

 private:
  bool counts() const;
  Range used_range(std::int64_t i) const;
  Variable rounded(const Variable& x, const Context& context) const;
  Tensor min_, max_;
  std::int32_t updates_ = 0;
};

}  // namespace perch
