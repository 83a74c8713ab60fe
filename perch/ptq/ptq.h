// Post-training quantization: from a trained float model to a quantized one with a few images and
// no training.
#pragma once

#include <optional>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>
#include <perch/ptq/adaround.h>
#include <perch/ptq/bias_correction.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/equalise.h>
#include <perch/quant/rules.h>

namespace perch {

struct PtqOptions {
  /// How many images there are, for the other steps too, whose own `images` are passed over.
  CalibrateOptions calibrate = {};
  std::optional<EqualiseOptions> equalise = std::nullopt;
  std::optional<AdaRoundOptions> adaround = std::nullopt;
  bool bias_correction = false;
};

struct PtqReport {
  Equalisation equalisation;            ///< empty where it was not asked for
  std::vector<AdaRoundLayer> adaround;  ///< likewise
  BiasCorrection bias_correction;       ///< likewise
};

/// Quantizes a float model in place, by equalise(), apply_rules(), calibrate(), adaround() and
/// correct_biases() in this order, those that are asked for. Throws what they throw; the model may
/// be changed then.
PtqReport quantize_after_training(Model& model, const QuantRules& rules, const Dataset& data,
                                  const PtqOptions& options = {});

}  // namespace perch
