// What to say when a loss is no longer a finite number.
#pragma once

#include <string>

#include <perch/datasets/loader.h>
#include <perch/layers/model.h>

namespace perch {

/// Throws Error(failure): the loss, where ("epoch 1, step 3 of 8"), and the first layer in the
/// model's order with a non-finite weight or output, found by a second forward pass in the same
/// context, which leaves the model's state as it is.
[[noreturn]] void fail_non_finite(Model& model, const Batch& batch, const Context& context,
                                  double loss, const std::string& where);

}  // namespace perch
