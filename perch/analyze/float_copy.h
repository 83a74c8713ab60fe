// A model without its quantizers.
#pragma once

#include <memory>

#include <perch/layers/model.h>

namespace perch {

/// An independent copy of a built model with the same layers, weights and statistics, in which
/// nothing is quantized: wrappers are replaced by the layers in them, and a QuantizeLayer by one of
/// its name that hands the input on. A float model is cloned. Throws Error(usage) unless built.
std::unique_ptr<Model> float_copy(Model& model);

}  // namespace perch
