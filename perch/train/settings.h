// What the outcome of a training depends on, as text. For the Trainer's sources.
#pragma once

#include <map>
#include <string>

#include <perch/train/trainer.h>

namespace perch {

/// "epochs" -> "5", "optimizer.beta_1" -> "0.9", "model.conv2d.filters" -> "32"; all but the
/// fingerprint of the data, which takes longer. Neither threads nor what is printed and saved is
/// among them: results do not depend on it.
std::map<std::string, std::string> settings_of(Model& model, const Optimizer& optimizer,
                                               const Loss& loss, bool fused, const Dataset& data,
                                               const FitOptions& options);

}  // namespace perch
