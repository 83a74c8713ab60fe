// Gradient clipping by the global norm.
#pragma once

#include <vector>

#include <perch/optim/optimizer.h>

namespace perch {

/// Euclidean norm of all gradients together, summed in double and in an order that the sizes fix.
double global_norm(const std::vector<Parameter>& parameters);

/// Scales all gradients by limit / max(norm, limit) (Pascanu et al. 2013); returns the norm before.
double clip_by_global_norm(std::vector<Parameter>& parameters, float limit);

}  // namespace perch
