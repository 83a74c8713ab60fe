// How much each layer's weights mind being quantized, and how many bits each should therefore get.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>
#include <perch/quant/spec.h>
#include <perch/train/trainer.h>

namespace perch {

struct WidthScore {
  double loss = 0.0, accuracy = 0.0;
};

struct LayerSensitivity {
  std::string name;                  ///< of the layer itself: "conv2d", not "quant_conv2d"
  std::string kind;                  ///< "Conv2D"
  std::int64_t weights = 0;          ///< elements of its main weight
  QuantSpec spec;                    ///< how the main weight was quantized, but for the bits
  std::map<int, WidthScore> scores;  ///< by bits
};

struct Sensitivity {
  WidthScore unquantized;  ///< nothing quantized at all
  std::vector<LayerSensitivity> layers;
};

struct SensitivityOptions {
  std::vector<int> bits = {8, 6, 4, 3, 2};  ///< each from 2 to 16
  std::int64_t images = 512;                ///< the data's first ones; all where there are fewer
  std::int64_t batch_size = evaluation_batch_size;
  Loss loss = sparse_categorical_crossentropy;
  std::function<void(Trainer&)> configure = {};  ///< told of the Trainer that evaluates
  std::function<void(const LayerSensitivity&)> on_layer = {};  ///< told of each as it is done
};

/// For every layer that has a main weight (Conv2D, DepthwiseConv2D, Dense), in the model's order,
/// and each width: loss and accuracy with only this weight quantized, everything else float
/// (float_copy()), whatever is quantized in the model.
///
/// The weight is quantized per channel, symmetric, narrow, by LastValue; if the model quantizes it
/// already, as it does there, with the bits in question and a range that is set anew, in one
/// training step on the weight. AllValues and MovingAverage become LastValue for that, whose range
/// is theirs on weights that stand still. Binary and Ternary, whose bits are given, and
/// observe_only are passed over.
///
/// The model does not change. Throws Error(usage) for a model that is not built or has no such
/// layer, options out of range, and as Trainer::evaluate() does; a quantizer's error names the
/// layer.
Sensitivity sensitivity(Model& float_or_quantized, const Dataset& data,
                        const SensitivityOptions& options = {});

struct LayerBits {
  std::string name;
  int bits = 8;
};
struct BitAllocation {
  std::vector<LayerBits> layers;  ///< in the order that they were given in
  double share = 1.0;             ///< sum n b / sum 8 n, with n a layer's weights and b its bits
};

/// Greedy: every layer starts with 8 bits. As long as the weights take more than `budget` of the
/// size that they have with 8 bits each, the layer is lowered to the next width it was measured at
/// for which
///     (loss(lower) - loss(present)) / (n (present - lower))
/// is least, the loss's increase for each bit that is saved; of equal ones the first. What then
/// still fits is given back where that cost most. Losses that are not finite count as infinite.
/// Throws Error(usage) for no layers, a budget that is not above 0, a layer that was not measured
/// at 8 bits, and a budget below the share that every layer's smallest width takes, naming that
/// share.
BitAllocation allocate_bits(const std::vector<LayerSensitivity>& layers, double budget);

}  // namespace perch
