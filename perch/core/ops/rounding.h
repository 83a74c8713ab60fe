// How a value between two levels becomes one of them.
#pragma once

namespace perch {

enum class Rounding {
  half_up,     ///< floor(v + 1/2), as TensorFlow
  half_even,   ///< to the even level of two that are as near, as PyTorch
  stochastic,  ///< up with the probability of the part behind the point; half_up in inference
};

}  // namespace perch
