// Calibration: ranges from a few images, without training.
#pragma once

#include <cstdint>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

struct CalibrateOptions {
  std::int64_t images = 512;  ///< the data's first ones
  std::int64_t batch_size = 64;
};

/// Shows the images to a quantized model, batch by batch, so that its quantizers set their state as
/// in training: of activations and the input in each batch, with what lies before them quantized
/// already, of weights in the first one. Nothing else changes: batch normalisation works with its
/// moving statistics, nothing is dropped out. Frozen layers are calibrated too; a quantizer that
/// does not observe (Quantizer::mode) is not.
///
/// A MovingAverage that starts at (-6, 6), which a few batches would hardly move, becomes the mean
/// of the batches' ranges instead; the other policies do what they do in training. So one of
/// first_batch, or a search, with a decay near 1 is about what the first batch gives; use
/// AllValues, a start of six or zero_debias, or a decay of 0 and one large batch where all images
/// are to count.
///
/// Throws Error(usage) for a model without quantizers or that is not built, and for images that are
/// too few or of another shape than the model's.
void calibrate(Model& model, const Dataset& data, const CalibrateOptions& options = {});

}  // namespace perch
