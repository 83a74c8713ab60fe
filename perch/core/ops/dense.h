// Matrix product of a batch with a weight matrix.
#pragma once

#include <perch/core/variable.h>

namespace perch {

/// x [N, K] times kernel [K, F], plus bias [F] unless undefined: [N, F].
/// Throws Error(usage) when the shapes do not agree.
Variable dense(const Variable& x, const Variable& kernel, const Variable& bias);

}  // namespace perch
