// The gradients of convolutions: of input, kernel and bias in one walk over the output's gradient.
// Private to the convolutions and to what is fused around them.
#pragma once

#include <perch/core/ops/conv_band.h>
#include <perch/core/ops/conv_walk.h>
#include <perch/core/tensor.h>

namespace perch::conv {

struct Wanted {
  bool input, kernel, bias;
};

struct Gradients {
  Tensor input;   ///< like x
  Tensor kernel;  ///< like the kernel
  Tensor bias;    ///< [filters]
};

/// Gradients of the convolution of x with the kernel; those not wanted stay empty. x is read only
/// for the kernel's gradient, the kernel only for the input's.
Gradients gradients(const Problem& problem, const Source<float>& x, const Tensor& kernel,
                    const Source<float>& dy, const Wanted& wanted);

}  // namespace perch::conv
