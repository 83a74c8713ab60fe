// What of perch's models TensorFlow cannot compute, even with python/perch_keras.py.
#pragma once

#include <string>
#include <vector>

#include <perch/layers/model.h>
#include <perch/quant/quantizer.h>

namespace perch::io {

/// What keeps TensorFlow from computing a model as perch does: a text for each layer and quantizer,
/// as "quant_conv2d: batch normalisation that is folded into the layer". Empty where a file of the
/// model gives the same predictions there. A range that is frozen is no reason, though it moves
/// again where TensorFlow trains on.
std::vector<std::string> unknown_to_tensorflow(Model& model);

/// The same of one quantizer: "" or as "ranges for groups".
std::string unknown_to_tensorflow(const Quantizer& quantizer);

}  // namespace perch::io
