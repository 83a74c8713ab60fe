// Tensor helpers of the autograd engine: sums of gradients and of broadcast axes, reuse of memory.
#pragma once

#include <perch/core/tensor.h>

namespace perch {

/// NumPy's broadcasting rule. Throws Error(usage) when the shapes do not agree.
Shape broadcast_shape(const Shape& a, const Shape& b);

/// Sums the axes along which `target` was broadcast to t's shape. Returns t itself when the shapes
/// are equal.
Tensor reduce_to_shape(Tensor t, const Shape& target);

/// a + b elementwise, in a's elements when nobody else holds them. Shapes must be equal.
Tensor sum_of(Tensor a, const Tensor& b);

/// Whether no element is infinite or NaN.
bool all_finite(const Tensor& t);

/// Where an op may put a result of t's shape: t itself when nobody else holds its elements, else a
/// new tensor.
Tensor reuse_or_allocate(const Tensor& t);

}  // namespace perch
