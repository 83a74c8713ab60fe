// Weights that hop between two levels: measured, dampened, frozen.
#pragma once

#include <optional>

#include <perch/train/callback.h>

namespace perch {

/// After Nagel et al. 2022, "Overcoming oscillations in quantization-aware training". A weight's
/// level oscillates in a step in which it changes in the direction opposite to its last change; its
/// frequency f is a moving average of that, f = momentum o + (1 - momentum) f.
struct OscillationOptions {
  float momentum = 0.01f;
  /// EpochResult::oscillating counts the weights with a frequency above this.
  float reported_above = 0.005f;
  /// Adds dampen sum |w - q(w)|^2 to the loss, over the weights within their range, q(w) constant;
  /// rises from 0 as half a cosine over the training. 0: off.
  float dampen = 0.0f;
  /// Weights whose frequency exceeds a threshold stay for the rest of the training on the level
  /// that is nearest to the moving average of their levels. The threshold falls from ten times this
  /// value to it as half a cosine.
  std::optional<float> freeze_above = std::nullopt;
};

/// For the quantized weights of all layers that are not frozen. Throws Error(usage) for values out
/// of range, and at the begin of training when there is no such weight, naming a layer whose levels
/// are not evenly spaced or whose kernel is folded with batch normalisation.
CallbackPtr oscillation(const OscillationOptions& options = {});

}  // namespace perch
