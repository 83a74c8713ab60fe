// Function table of the step kernels: rounding to evenly spaced levels, with the sums that trained
// steps and offsets need. The same bits on every instruction set.
#pragma once

#include <cstdint>

namespace perch::kernels {

/// Of one range: level L in [low, high] stands for L step + offset.
struct StepArgs {
  float step, offset, low, high;
};

/// What came to an element's gradient, summed over elements.
struct StepSums {
  float inside =
      0.0f;  ///< of dy (level - place), place = (x - offset) / step, where low <= place <= high
  float below = 0.0f;  ///< of dy where place < low
  float above = 0.0f;  ///< of dy where place > high
};

/// y may be x, dx may be dy. NaN comes out as NaN and belongs nowhere.
struct StepKernels {
  /// level = floor(place + 1/2), limited
  void (*half_up)(const float* x, float* y, std::int64_t n, const StepArgs& args);
  /// PyTorch's: place = (x - offset) (1 / step), rounded half to even
  void (*half_even)(const float* x, float* y, std::int64_t n, const StepArgs& args);
  /// level = floor(place + noise), noise in [0, 1)
  void (*noisy)(const float* x, const float* noise, float* y, std::int64_t n, const StepArgs& args);

  /// dx = dy where low <= place <= high, else 0. `y` is what the forward pass gave.
  void (*backward)(const float* x, const float* y, const float* dy, float* dx, std::int64_t n,
                   const StepArgs& args, StepSums* sums);
  /// PyTorch's: dx = dy where the rounded level lies within the limits.
  void (*backward_half_even)(const float* x, const float* dy, float* dx, std::int64_t n,
                             const StepArgs& args);
};

}  // namespace perch::kernels
