// Function table of the elementwise kernels. Arrays are flat, of n elements; an output may be one
// of the inputs. NaN goes through every activation.
#pragma once

#include <cstdint>

namespace perch::kernels {

struct ElementwiseKernels {
  void (*add)(float* y, const float* a, const float* b, std::int64_t n);
  void (*multiply)(float* y, const float* a, const float* b, std::int64_t n);
  /// Partial sums are float over 1,024 elements at most, double beyond.
  double (*sum)(const float* x, std::int64_t n);

  /// relu is [0, infinity], relu6 [0, 6].
  void (*clamp)(float* y, const float* x, float low, float high, std::int64_t n);
  /// dy where low < y < high, else 0.
  void (*clamp_gradient)(float* dx, const float* dy, const float* y, float low, float high,
                         std::int64_t n);
  void (*leaky_relu)(float* y, const float* x, float slope, std::int64_t n);
  void (*leaky_relu_gradient)(float* dx, const float* dy, const float* x, float slope,
                              std::int64_t n);
  void (*sigmoid)(float* y, const float* x, std::int64_t n);
  void (*sigmoid_gradient)(float* dx, const float* dy, const float* y, std::int64_t n);
  void (*tanh)(float* y, const float* x, std::int64_t n);
  void (*tanh_gradient)(float* dx, const float* dy, const float* y, std::int64_t n);

  /// Of each row of `columns` values.
  void (*softmax)(float* y, const float* x, std::int64_t rows, std::int64_t columns);
  void (*softmax_gradient)(float* dx, const float* dy, const float* y, std::int64_t rows,
                           std::int64_t columns);
};

}  // namespace perch::kernels
