// Losses, each the mean over the batch: a scalar.
#pragma once

#include <cstdint>
#include <span>

#include <perch/core/variable.h>

namespace perch {

/// Cross-entropy of softmax(logits) [N, C] against class labels [N].
/// With label smoothing s the target is (1 - s) one_hot + s / C.
/// Throws Error(usage) when counts differ or a label is outside [0, C).
Variable sparse_softmax_cross_entropy(const Variable& logits, std::span<const std::int32_t> labels,
                                      float label_smoothing = 0.0f);

/// The same against target distributions [N, C].
Variable softmax_cross_entropy(const Variable& logits, const Tensor& targets,
                               float label_smoothing = 0.0f);

/// Mean of (x - target)^2 over all elements.
Variable mean_squared_error(const Variable& x, const Tensor& target);

}  // namespace perch
