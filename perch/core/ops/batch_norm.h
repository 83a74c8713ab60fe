// Batch normalisation over all axes but the last, with Keras's conventions.
#pragma once

#include <perch/core/variable.h>

namespace perch {

struct BatchNormOptions {
  float momentum = 0.99f;
  float epsilon = 1e-3f;
  bool training = false;
};

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, per last-axis channel.
/// Training: mean and biased variance of the batch, and the moving statistics (shape [C]) move
/// towards them, m = momentum m + (1 - momentum) batch, the variance with n / (n - 1).
/// Inference: the moving statistics, unchanged. gamma and beta may be undefined (1 and 0).
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    Tensor& moving_mean, Tensor& moving_variance, const BatchNormOptions& options);

}  // namespace perch
