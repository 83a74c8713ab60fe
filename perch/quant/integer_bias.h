// Biases as integer hardware adds them: int32 at the scale of the products, input scale times
// weight scale, zero point 0 (Jacob et al. 2018, section 2.4).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include <perch/layers/model.h>
#include <perch/quant/config.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// The quantizer on whose grid the only input of a node lies, seen through layers that hand values
/// on (Flatten, MaxPooling2D, ReLU, ...); null where there is none in this model.
Quantizer* feeding_quantizer(const Model& model, NodeId node);

/// The scales of a bias: one for each of `channels`. Empty while a range has seen no value yet, and
/// while input or kernel are not, or not wholly, quantized.
std::vector<double> bias_scales(const Quantizer& input, const Quantizer& kernel,
                                std::int64_t channels);

/// bias [C] rounded to whole multiples of scales [C], at most 2^31 of them; straight-through
/// gradient.
Variable integer_bias(const Variable& bias, const std::vector<double>& scales);

/// For configurations by node that are to be applied, with this quantizer of the model's input.
/// Throws Error(usage) naming the layer and what it lacks: a bias, a kernel with even levels per
/// tensor or per channel, an input with an even grid.
void check_integer_biases(const Model& model, const std::map<std::size_t, QuantizeConfig>& plan,
                          const std::optional<QuantSpec>& input);

}  // namespace perch
