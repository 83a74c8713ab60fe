// Elementwise arithmetic with NumPy's broadcasting, and joining.
#pragma once

#include <vector>

#include <perch/core/random.h>
#include <perch/core/variable.h>

namespace perch {

/// Shapes broadcast. Throws Error(usage) when they do not agree.
Variable add(const Variable& a, const Variable& b);
Variable multiply(const Variable& a, const Variable& b);

/// Mean of all elements: a scalar.
Variable mean(const Variable& x);

/// Along an axis (negative: from the end). Throws Error(usage) when the other extents differ.
Variable concat(const std::vector<Variable>& parts, int axis);

/// Same elements, other shape; one extent may be -1 and is derived.
Variable reshape(const Variable& x, const std::vector<std::int64_t>& extents);
/// [N, ...] -> [N, product of the rest].
Variable flatten(const Variable& x);

/// Sets a share `rate` of the elements to zero, the others to x / (1 - rate). rate in [0, 1).
Variable dropout(const Variable& x, float rate, const Random& random);

}  // namespace perch
