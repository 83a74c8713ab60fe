// Schemes: configurations for a whole model by where grids belong.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <perch/layers/model.h>
#include <perch/quant/config.h>

namespace perch {

struct NBitOptions {
  int weight_bits = 8, activation_bits = 8;
};

/// For deployment: kernels per channel, symmetric, narrow, LastValue; activations per tensor,
/// MovingAverage. A linear layer's output gets its grid behind the BatchNormalization and
/// activation function that follow it alone, as those are folded into it; an Add or Concatenate
/// behind its activation function; pooling by averages behind itself. What only moves values on
/// gets none. Apply with output_quantizers off: every grid is placed here. The input's grid is
/// ApplyOptions'. tfmot's Default8Bit and n-bit schemes, but every kernel keeps its quantizer.
/// Throws Error(usage) unless the model is built.
std::map<std::string, QuantizeConfig> n_bit(const Model& model, const NBitOptions& options);
std::map<std::string, QuantizeConfig> default_8bit(const Model& model);
/// "default_8bit", "n_bit": as command line and files call them.
const std::vector<std::string>& scheme_names();

}  // namespace perch
