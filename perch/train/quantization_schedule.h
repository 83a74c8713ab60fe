// When quantizers begin, stop and narrow: delayed and gradual quantization, progressive widths,
// frozen ranges and statistics.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <perch/train/callback.h>
#include <perch/train/train_time.h>

namespace perch {

/// Counted from the begin of the training; the state at its end is saved with the model.
struct QuantizationSchedule {
  /// Activations (and the input) are only observed before: Jacob et al. 2018, section 3.1.
  TrainTime activations_from = 0;
  /// Ranges, of weights too, stay as they are from then on.
  std::optional<TrainTime> ranges_until = std::nullopt;
  /// Until then, weights and activations are partly quantized: by the share
  /// 1 - (1 - step / full_from)^3 (QKeras's noise factor), so that 0 is float.
  TrainTime full_from = 0;
  /// Batch normalisation works with its moving statistics from then on, and they stay; gamma and
  /// beta learn on (BatchNorm::freeze_statistics()). A normalisation that is frozen already stays.
  std::optional<TrainTime> batch_norm_until = std::nullopt;
  /// From each moment on, quantized main weights have these bits (Quantizer::set_bits). What
  /// quantizes no weights with a width of choice (binary, ternary) is refused.
  std::vector<std::pair<TrainTime, int>> weight_bits = {};
};

/// Widths at even distances over a training: 8, 4, 2 for two thirds and so on. Throws Error(usage)
/// for no width.
std::vector<std::pair<TrainTime, int>> spread_bits(const std::vector<int>& bits, double epochs);

/// Switches quantizers and batch normalisation as training passes these moments. Throws at the
/// begin of training: Error(usage) for a step below 0, for a model without quantizers (without
/// batch normalisation), for what training does not reach, and for a width that a quantizer, which
/// is named, cannot have.
CallbackPtr quantization_schedule(const QuantizationSchedule& schedule);

}  // namespace perch
