// When quantizers begin and stop: delayed and gradual quantization, frozen ranges.
#pragma once

#include <cstdint>
#include <optional>

#include <perch/train/callback.h>

namespace perch {

/// Counted in optimizer steps from the begin of the training; the state at its end is saved with
/// the model.
struct QuantizationSchedule {
  /// Activations (and the input) are only observed before this step: Jacob et al. 2018,
  /// section 3.1.
  std::int64_t activations_from = 0;
  /// Ranges, of weights too, stay as they are from this step on.
  std::optional<std::int64_t> ranges_until = std::nullopt;
  /// Until this step, weights and activations are partly quantized: by the share
  /// 1 - (1 - step / full_from)^3 (QKeras's noise factor), so that 0 is float.
  std::int64_t full_from = 0;
};

/// Switches the quantizers' modes (Quantizer::mode) as training passes these steps. Throws
/// Error(usage) for a step below 0, and at the begin of training for a model without quantizers and
/// for a start of activations that training does not reach.
CallbackPtr quantization_schedule(const QuantizationSchedule& schedule);

}  // namespace perch
