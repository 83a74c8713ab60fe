// Function table of the optimizers' kernels. No multiply-add is fused: the same bits on every
// instruction set, and TensorFlow's.
#pragma once

#include <cstdint>

namespace perch::kernels {

struct AdamStep {
  float alpha;           ///< lr sqrt(1 - b2^t) / (1 - b1^t)
  float rate_1, rate_2;  ///< 1 - b1, 1 - b2
  float epsilon;
  float learning_rate, weight_decay;  ///< w -= (w weight_decay) learning_rate beforehand, unless 0
};

struct SgdStep {
  float learning_rate, momentum, weight_decay;
  bool nesterov;
};

struct OptimizeKernels {
  /// n elements of weights w, moments m and v, gradients g.
  void (*adam)(float* w, float* m, float* v, const float* g, std::int64_t n, const AdamStep& step);
  /// velocity may be null: no momentum.
  void (*sgd)(float* w, float* velocity, const float* g, std::int64_t n, const SgdStep& step);
};

}  // namespace perch::kernels
