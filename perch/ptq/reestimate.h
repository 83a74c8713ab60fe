// Re-estimation of batch normalisation's moving statistics after training.
#pragma once

#include <cstdint>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

struct ReestimateOptions {
  std::int64_t images = 2048;  ///< the data's first ones
  std::int64_t batch_size = 64;
};

/// Replaces the moving mean and variance of every BatchNormalization by the mean of the batches'
/// own, taken with the weights and ranges as they are now: the averages of training lag behind
/// weights that oscillate between two levels (Nagel et al. 2022, section 3.2). The layers normalise
/// by each batch's statistics meanwhile, as in training; frozen ones, and everything else, stay as
/// they are. Throws Error(usage) for a model that is not built or has no BatchNormalization to
/// re-estimate, and for images that are too few or of another shape than the model's.
void reestimate_batch_norm(Model& model, const Dataset& data,
                           const ReestimateOptions& options = {});

}  // namespace perch
