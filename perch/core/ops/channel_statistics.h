// What batch normalisation normalises by, as variables of their own, and a factor per channel.
#pragma once

#include <perch/core/ops/batch_norm.h>

namespace perch {

struct ChannelStatistics {
  Variable mean;               ///< [C]
  Variable inverse_deviation;  ///< [C]: 1 / sqrt(variance + epsilon)
};

/// Of x [..., C] in training: mean and biased variance of the batch, through which gradients reach
/// x, while the moving statistics (shape [C]) move as batch_norm moves them. In inference those, as
/// constants; x may be undefined then.
ChannelStatistics channel_statistics(const Variable& x, Tensor& moving_mean,
                                     Tensor& moving_variance, const BatchNormOptions& options);

/// x [..., C] times factor [C], which is constant.
Variable scale_channels(const Variable& x, const Tensor& factor);

}  // namespace perch
