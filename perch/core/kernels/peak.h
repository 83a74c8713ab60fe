// Function table of what the machine can do at most: the yardsticks of profiles and benchmarks.
#pragma once

#include <cstdint>

namespace perch::kernels {

struct PeakKernels {
  std::int64_t multiply_adds_per_round;  ///< single ones, all lanes counted
  /// Multiply-adds that wait for nothing; the result is there so that they are done.
  float (*multiply_adds)(std::int64_t rounds);
  void (*copy)(float* to, const float* from, std::int64_t n);
};

}  // namespace perch::kernels
