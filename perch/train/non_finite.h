// What to say when a loss or a gradient is no longer a finite number.
#pragma once

#include <string>
#include <vector>

#include <perch/datasets/loader.h>
#include <perch/layers/model.h>
#include <perch/optim/optimizer.h>

namespace perch {

/// "loss is nan at epoch 1, step 3 of 8: ..." with the first layer in the model's order with a
/// non-finite weight or output, found by a second forward pass in the same context, which leaves
/// the model's state as it is, and what may help.
std::string non_finite_loss(Model& model, const Batch& batch, const Context& context, double loss,
                            const std::string& where);

/// The same of the first gradient that is not finite; empty where all are.
std::string non_finite_gradient(const std::vector<Parameter>& parameters, const std::string& where);

/// Thrown within a training that is to go back where a step was not finite.
struct GoBack {
  std::string why;
};

}  // namespace perch
