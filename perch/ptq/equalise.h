// Equalisation: the channels of a float model's kernels are brought to one size, so that one range
// for a whole kernel wastes no levels on them. The function that the model computes stays.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <perch/layers/model.h>

namespace perch {

struct EqualiseOptions {
  int rounds = 20;          ///< over all pairs, at most
  double tolerance = 1e-3;  ///< ends when no channel's scale is further from 1
};

struct Equalisation {
  /// Names of the linear layers whose channels between them were scaled.
  std::vector<std::pair<std::string, std::string>> pairs;
  /// Names of those whose output channels a BatchNormalization took up.
  std::vector<std::string> normalised;
  int rounds = 0;
  double change = 0.0;  ///< largest |s - 1| of the last round
};

/// Cross-layer equalisation (Nagel et al. 2019, "Data-free quantization through weight equalization
/// and bias correction", section 4.1), for kernels as perch quantizes them: beside batch
/// normalisation, not folded with it. Linear layers are Conv2D, DepthwiseConv2D and Dense.
///
/// Pairs: two linear layers, the second behind the first and what lies between read by nobody else:
/// activation functions linear, relu and leaky_relu, the layers ReLU without a limit and LeakyReLU,
/// pooling, zero padding, dropout, Flatten, at most one BatchNormalization (which has a gamma).
/// Output channel i of the first is divided by s_i, input channel i of the second multiplied:
///     s_i = (1 / r2_i) sqrt(r1_i r2_i)                                  (eq. 11)
/// r2_i is the largest |kernel| of the second layer's input channel i. r1_i is that of the first
/// one's output channel i as it acts on the signal, |kernel| |gamma| / sqrt(variance + epsilon)
/// where there is a batch normalisation, whose gamma and beta are then what is divided. The bias,
/// or beta, counts as an element of the kernel: else a channel that hardly depends on its input,
/// but is not 0, would grow without bound and set the activations' range.
///
/// A batch normalisation behind a linear layer (and parts as above) makes the scale of the layer's
/// own output channels arbitrary. There they are all brought to their geometric mean, t_i off it:
///     kernel_i / t_i, bias_i / t_i, mean_i / t_i, variance_i / t_i^2,
///     gamma_i sqrt(variance_i + epsilon t_i^2) / sqrt(variance_i + epsilon)
/// with the old variance, which is the same function in spite of epsilon. This is done at first and
/// after each round. A channel of zeros keeps its scale.
///
/// Works on nested models, each on its own. Throws Error(usage) for a model that is not built or
/// quantized already, and for options out of range.
Equalisation equalise(Model& model, const EqualiseOptions& options = {});

}  // namespace perch
