// Quantizing a network the way the original script does, from the attributes of a golden run.
#pragma once

#include <string>

#include <tests/support/golden.h>

#include <perch/layers/model.h>
#include <perch/quant/config.h>

namespace perch::golden {

/// The settings of the original script's QuantizeConfig classes.
struct SeedStyle {
  std::string quantizer = "float";  ///< AV, LV, MA, AV_fixed, MA_fixed, or float
  int weight_bits = 8, activation_bits = 8;
  bool symmetric = false, narrow_range = false, per_axis = false;
  bool depthwise_fix = false;  ///< false: the depthwise kernel's range is tracked and not used

  bool quantized() const { return quantizer != "float"; }
};

/// From the attributes quantizer, w_bits, a_bits, symmetric, narrow_range, per_axis, dw_fix; the
/// last four and the bits may be absent.
SeedStyle seed_style(const Group& attributes);

/// What ConvQuantizer and DepthwiseQuantizer stand for. Stock tfmot's AllValues ignores per_axis,
/// and its axis is always the last: of a depthwise kernel, the multiplier.
QuantizeConfig conv_config(const SeedStyle& style);
QuantizeConfig depthwise_config(const SeedStyle& style);

/// Wraps every Conv2D and DepthwiseConv2D of a built model, with what tfmot adds; does nothing to a
/// float one.
void quantize_like_seed(Model& model, const SeedStyle& style);

}  // namespace perch::golden
