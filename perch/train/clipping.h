// Weights that lie outside of their range: counted at the end of each epoch.
#pragma once

#include <perch/train/callback.h>

namespace perch {

/// Sets EpochResult::clipped and clipped_layers: of all quantized weights, and of each layer's, the
/// share outside of [nudged_min, nudged_max] of its grid (QuantGrid), with the weights and the
/// ranges as the epoch leaves them. One pass over the kernels an epoch. Quantizers that at present
/// hand weights on as they are, quantize in part or have no even grid count as none, as in
/// analyse(); both stay unset where there is no other.
CallbackPtr clipping();

}  // namespace perch
