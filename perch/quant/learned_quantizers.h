// Quantizers whose range is trained with the weights.
#pragma once

#include <perch/quant/quantizer.h>

namespace perch {

/// What they share. State: the trained weight, then the counters "initialised" and "signed". The
/// first training step sets the range from the values that it sees; before that, values pass as
/// they are. Weights take levels on both sides of 0; activations that are nowhere negative in that
/// first step take unsigned ones. Limits, b bits: signed -2^(b-1) .. 2^(b-1) - 1, without the first
/// when narrow, or in PACT; unsigned 0 .. 2^b - 1, without the last when narrow.
class LearnedQuantizer : public SpecQuantizer {
 public:
  LearnedQuantizer(const QuantSpec& spec, TensorRole role);
  bool initialised() const { return initialised_ != 0; }
  void set_bits(int bits) final;
  std::vector<QuantGrid> grids() const override;

 protected:
  void observe(const Tensor& x, const Context& context) override;
  Variable quantize(const Variable& x, const Context& context) final;
  void visit_state(Visitor& visitor) override;

  /// Sets the trained state from rows of one range each.
  virtual void start(const Tensor& rows) = 0;
  virtual Variable quantize_started(const Variable& x, const Context& context) = 0;
  /// Another width has steps of `factor` times the size. For a state that is a step.
  virtual void stretch(float /*factor*/) {}
  /// The trained state, reported before the counters.
  virtual void visit_trained(Visitor& visitor) = 0;
  /// The step of each range as it is used now.
  virtual Tensor steps() const = 0;

  /// A trained state in this pass: requires gradients where the context wants them.
  static Variable used(const Variable& trained, const Context& context);
  TensorRole role() const { return role_; }
  bool has_sign() const { return signed_ != 0; }
  float low() const;
  float high() const;
  Tensor limit(float level) const;
  /// 1 / sqrt(N Q): Esser et al. 2020, section 2.2, with N the values of a range in one image, or
  /// in a weight, and Q the highest level.
  float gradient_factor(const Shape& x) const;

 private:
  TensorRole role_;
  std::int32_t initialised_ = 0, signed_ = 1;
};

/// LSQ (Esser et al. 2020): y = round(limit(x / s)) s; trained "scale" s, from 2 mean|x| / sqrt(Q)
/// on, its gradient times 1 / sqrt(N Q). A scale that training takes below 1e-8 is held there.
class LsqQuantizer : public LearnedQuantizer {
 public:
  using LearnedQuantizer::LearnedQuantizer;

 protected:
  void create_state(const Shape& ranges) override;
  void observe(const Tensor& x, const Context& context) override;
  void start(const Tensor& rows) override;
  Variable quantize_started(const Variable& x, const Context& context) override;
  void visit_trained(Visitor& visitor) override;
  void stretch(float factor) override;
  Tensor steps() const override { return scale_.value(); }

  Variable scale_;
};

/// LSQ+ (Bhalgat et al. 2020). Activations: y = round(limit((x - o) / s)) s + o with a trained
/// "offset" o too, so that 0 need not be a level; s = (max - min) / (2^b - 1) and o = min - low s
/// at first. Weights: LSQ's with s = max(|m - 3 d|, |m + 3 d|) / 2^(b-1) at first, m and d their
/// mean and standard deviation.
class LsqPlusQuantizer final : public LsqQuantizer {
 public:
  using LsqQuantizer::LsqQuantizer;
  /// None with an offset, which is no whole number of steps.
  std::vector<QuantGrid> grids() const override;

 protected:
  void create_state(const Shape& ranges) override;
  void start(const Tensor& rows) override;
  Variable quantize_started(const Variable& x, const Context& context) override;
  void visit_trained(Visitor& visitor) override;

 private:
  Variable offset_;
};

/// PACT (Choi et al. 2018): x clipped to [0, a], or to [-a, a] where there is a sign, then rounded
/// to evenly spaced levels; trained "clip" a, whose gradient is the sum of dy beyond the limit
/// (less that beyond -a), held above 0 as LSQ's scale. Starts at the policy's value for
/// activations, at max|x| for weights.
class PactQuantizer final : public LearnedQuantizer {
 public:
  using LearnedQuantizer::LearnedQuantizer;

 protected:
  void create_state(const Shape& ranges) override;
  void observe(const Tensor& x, const Context& context) override;
  void start(const Tensor& rows) override;
  Variable quantize_started(const Variable& x, const Context& context) override;
  void visit_trained(Visitor& visitor) override;
  Tensor steps() const override;

 private:
  Variable clip_;
};

/// TQT (Jain et al. 2020): LSQ's rounding with s = 2^ceil(t) / 2^(b-1), or / 2^b without a sign;
/// trained "log2_threshold" t, ds/dt = s ln 2. Starts at log2 of max(|m - 3 d|, |m + 3 d|) for
/// weights, of the entropy search's threshold for activations.
class TqtQuantizer final : public LearnedQuantizer {
 public:
  using LearnedQuantizer::LearnedQuantizer;

 protected:
  void create_state(const Shape& ranges) override;
  void start(const Tensor& rows) override;
  Variable quantize_started(const Variable& x, const Context& context) override;
  void visit_trained(Visitor& visitor) override;
  Tensor steps() const override;

 private:
  Variable log2_threshold_;
};

}  // namespace perch
