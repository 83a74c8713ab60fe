// A pass through a model without training: nothing in it changes but, when wanted, the quantizers'
// state. For this room's sources.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

/// A linear layer as a pass comes by.
struct LinearCall {
  const Layer& layer;  ///< Conv2D, DepthwiseConv2D or Dense; the inner one where it is wrapped
  Variable input;
  Variable output;  ///< ahead of the activation function and of any quantizer
};

struct PassOptions {
  /// Whether quantizers see their values as in training, before they quantize them. Layers stay in
  /// inference all the same, frozen ones are calibrated too; Quantizer::mode is honoured.
  bool observe_weights = false, observe_activations = false;
  /// Number of observing passes before this one.
  std::int64_t observed = 0;
  /// Whether batch normalisation that is not frozen works, and moves its statistics, as in
  /// training.
  bool batch_statistics = false;
  std::function<void(const LinearCall&)> on_linear = {};
  std::function<void()> after_pass = {};  ///< of run_passes()
  /// Name of the (inner) linear layer behind which the pass ends; empty: the model's end.
  std::string last = {};
};

/// The model's output; undefined for a pass that ended earlier. Without observation it is
/// model.forward(x, Context::for_inference()) bit by bit.
Variable run_pass(Model& model, const Variable& x, const PassOptions& options);

/// One pass for each batch of the first `images`, in their order.
void run_passes(Model& model, const Dataset& data, std::int64_t images, std::int64_t batch_size,
                PassOptions options);

}  // namespace perch
