// Quantizers without a range: their levels follow from the values of each call.
#pragma once

#include <vector>

#include <perch/quant/quantizer.h>

namespace perch {

/// What they share: no state, and the same in training and inference. Every slice that the
/// granularity sets apart has levels of its own. Formulas, to the bit: perch/core/ops/levels.h.
/// Values that are not finite throw Error(usage), unless said otherwise.
class LevelQuantizer : public SpecQuantizer {
 public:
  using SpecQuantizer::SpecQuantizer;

 protected:
  void create_state(const Shape&) final {}
  void observe(const Tensor&, const Context&) final {}
  void visit_state(Visitor&) final {}
};

/// DoReFa-Net (Zhou et al. 2016). Weights: y = 2 q(tanh(x) / (2 max|tanh(x)|) + 1/2) - 1 with
/// q(r) = floor((2^b - 1) r + 1/2) / (2^b - 1), its gradient straight through q, exactly through
/// tanh, and with the maximum as a constant; 1 bit: y = sign(x) mean|x|, dx = dy.
/// Activations: y = q(x clipped to [0, 1]), dx = dy where 0 <= x <= 1. Their grid is the same for
/// all values, whatever the granularity; infinities are clipped too, and NaN stays NaN.
class DoReFaQuantizer final : public LevelQuantizer {
 public:
  DoReFaQuantizer(const QuantSpec& spec, TensorRole role);
  /// Of activations; those of weights have no level at 0.
  std::vector<QuantGrid> grids() const override;

 protected:
  Variable quantize(const Variable& x, const Context& context) override;

 private:
  TensorRole role_;
};

/// XNOR-Net's weights (Rastegari et al. 2016): y = sign(x) mean|x|, sign(0) = 1; dx = dy where
/// |x| <= 1, else 0.
class BinaryQuantizer final : public LevelQuantizer {
 public:
  using LevelQuantizer::LevelQuantizer;

 protected:
  Variable quantize(const Variable& x, const Context& context) override;
};

/// Ternary weight networks (Li et al. 2016): y = a sign(x) where |x| > threshold mean|x|, else 0,
/// with a the mean magnitude of the former; dx = dy.
class TernaryQuantizer final : public LevelQuantizer {
 public:
  using LevelQuantizer::LevelQuantizer;

 protected:
  Variable quantize(const Variable& x, const Context& context) override;
};

/// The nearest of 0 and 2^(b-1) - 1 powers of two with either sign, downwards from INQ's (Zhou et
/// al. 2017) 2^floor(log2(4/3 max|x|)); dx = dy.
class PowerOfTwoQuantizer final : public LevelQuantizer {
 public:
  using LevelQuantizer::LevelQuantizer;

 protected:
  Variable quantize(const Variable& x, const Context& context) override;
};

}  // namespace perch
