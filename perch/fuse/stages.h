// What follows a layer's sums in a fused block: [inner quantizer] [batch normalisation] [limits of
// an activation function] [outer quantizer].
#pragma once

#include <limits>
#include <memory>
#include <optional>

#include <perch/core/encoding.h>
#include <perch/core/kernels/tail.h>
#include <perch/core/ops/moments.h>
#include <perch/core/variable.h>
#include <perch/quant/range_quantizer.h>

namespace perch::fusion {

struct NormStage {
  Variable gamma, beta;  ///< may be undefined
  Tensor *moving_mean, *moving_variance;
  float momentum, epsilon;
  bool training;  ///< by the batch's statistics
};

/// In the order in which they are applied; each may be missing. Quantizers are per tensor, of at
/// most 8 bits.
struct Stages {
  RangeQuantizer* inner = nullptr;
  std::optional<NormStage> norm = {};
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  RangeQuantizer* outer = nullptr;
  bool inner_moves = false, outer_moves = false;  ///< the range, with the values of this pass

  bool limited() const { return low > -std::numeric_limits<float>::infinity(); }
  bool maps() const { return norm.has_value() || limited(); }
  bool moves() const { return inner_moves || outer_moves || (norm && norm->training); }
};

/// Whether there is a quantizer that lets values pass, in part or whole, so that they have no
/// codes.
inline bool lets_pass(const RangeQuantizer* quantizer) {
  return quantizer != nullptr && (!quantizer->mode.quantizes || quantizer->mode.share != 1.0f);
}

/// The grid of a quantizer's range, for 8-bit codes.
struct Grid {
  kernels::GridArgs args;
  bool dividing;
  std::shared_ptr<const CodeGrid> codes;

  /// Nothing for a range that has no such grid (see grid_args.h).
  static std::optional<Grid> of(const RangeQuantizer& quantizer);
};

/// Norm and limits as one map; the identity where both are missing. `moments` are the batch's, and
/// read only when the norm is in training.
std::shared_ptr<const ChannelMap> make_map(const Stages& stages, std::int64_t channels,
                                           const Moments* moments,
                                           const std::optional<Normalisation>& normalisation);
/// What the norm stage divides by; nothing without one.
std::optional<Normalisation> make_normalisation(const Stages& stages, const Moments* moments);

/// Where gradients pass an activation function's limits, which is strictly inside of them, and an
/// outer quantizer, which is with its ends.
struct Gate {
  Gate(float low, float high, const std::optional<Grid>& outer);
  float low, high;
  bool open() const;
};

/// A map's tables for elements from `first` on.
kernels::TailMap tables_at(const ChannelMap& map, std::int64_t first);
/// Kept sums from element `first` on.
kernels::TailInput elements_at(const Encoding& base, std::int64_t first);

}  // namespace perch::fusion
