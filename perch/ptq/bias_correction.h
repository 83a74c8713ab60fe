// Bias correction: the shift that quantization gives to each channel's mean is taken back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

struct BiasCorrectionOptions {
  std::int64_t images = 512;  ///< the data's first ones
  std::int64_t batch_size = 64;
};

struct BiasCorrection {
  std::vector<std::string> corrected;  ///< names of layers, in the model's order
  /// Those without a bias and without a BatchNormalization right behind: they stay as they are.
  std::vector<std::string> left;
};

/// Empirical bias correction (Nagel et al. 2019, "Data-free quantization through weight
/// equalization and bias correction", section 4.2): for each wrapped Conv2D, DepthwiseConv2D and
/// Dense of a quantized and calibrated model, in order, those before it being corrected already,
///     bias_c += E[y_c] - E[q_c]
/// over images and places, with y the layer's output in `reference`, the float model with layers of
/// the same names, and q that in the quantized one, both ahead of the activation function and of
/// its quantizer. The mean of a layer's output is the float one's then, but for rounding, if the
/// bias is not quantized. A layer without a bias that a BatchNormalization follows alone, and whose
/// activation function is linear, has moving_mean_c -= E[y_c] - E[q_c] instead, which is the same
/// to the normalisation (a quantizer between them works on uncorrected values). Ranges stay.
///
/// Takes a pass to each layer for each batch. Throws Error(usage) for a model without wrapped
/// linear layers, for a reference that lacks one or whose channels differ, and as calibrate() does
/// for images.
BiasCorrection correct_biases(Model& model, Model& reference, const Dataset& data,
                              const BiasCorrectionOptions& options = {});

}  // namespace perch
