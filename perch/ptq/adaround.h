// AdaRound: kernels rounded up or down by what the layer's output says, rather than to the nearest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

/// What came of one layer: mean over the images and places of the sum over channels of (q - y)^2.
struct AdaRoundLayer {
  std::string name;
  double nearest = 0.0;  ///< with every weight rounded to the nearest level
  double chosen = 0.0;   ///< with the levels that were learned; these stay if it is less
  double moved = 0.0;    ///< share of the weights that are not at their nearest level
};

struct AdaRoundOptions {
  std::int64_t images = 512;  ///< the data's first ones; a layer's inputs for all are in memory
  std::int64_t iterations = 1000;
  std::int64_t batch_size = 32;
  float learning_rate = 1e-2f;
  float lambda = 0.01f;  ///< weight of the penalty
  float beta_from = 20.0f, beta_to = 2.0f;
  float warm_start = 0.2f;  ///< share of the iterations, the first ones, without penalty
  std::uint64_t seed = 0;   ///< of the batches
  std::function<void(const AdaRoundLayer&)> on_layer = {};  ///< told of each as it is done
};

/// AdaRound (Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization") for
/// the kernels of a quantized and calibrated model's wrapped Conv2D, DepthwiseConv2D and Dense, in
/// order. For weight w on a grid of step s, levels from n to p (eq. 22, 23, 24):
///     w~ = s limit(floor(w / s) + h(V)),  h(V) = min(max(1.2 sigmoid(V) - 0.1, 0), 1)
/// V starts where w~ = w, and Adam lowers
///     |q - y|^2 + lambda sum(1 - |2 h(V) - 1|^beta)
/// with y the layer's output in `reference`, the float model with layers of the same names, and q
/// that of w~ on the input in the quantized model, what lies before being rounded already; both
/// ahead of the activation function. beta goes from the one value to the other along half a cosine
/// behind the warm start. In the end h >= 1/2 means up.
///
/// The kernel's floats become the chosen grid points, which their quantizer maps to themselves: its
/// range stays as it was calibrated, and as training would move it off them, mode.observes of these
/// quantizers is off from now on. Other layers stay as they are: those whose kernel has no range
/// quantizer or is not quantized at present, and LSQ's and its kin.
///
/// Throws Error(usage) for options out of range, and as correct_biases() does. Deterministic.
std::vector<AdaRoundLayer> adaround(Model& model, Model& reference, const Dataset& data,
                                    const AdaRoundOptions& options = {});

}  // namespace perch
