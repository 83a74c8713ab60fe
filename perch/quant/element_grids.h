// The grid of each element's range, where the element is.
#pragma once

#include <vector>

#include <perch/core/tensor.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// Of a tensor's shape: level L in 0 .. top stands for base + L step.
struct ElementGrids {
  Tensor base, step, top;

  /// `channel_axes` as in Quantizer::build(). The quantizer must have grids().
  static ElementGrids of(const Shape& shape, const Quantizer& quantizer,
                         const std::vector<int>& channel_axes);
};

}  // namespace perch
