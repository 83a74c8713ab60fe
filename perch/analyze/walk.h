// A walk through a model that takes two values along: with its quantizers, and without any. For
// this room's sources.
#pragma once

#include <functional>
#include <string>

#include <perch/layers/model.h>
#include <perch/quant/wrapper.h>

namespace perch {

/// What a layer gets or puts out.
struct Twin {
  Variable quantized;
  Variable plain;  ///< with the same weights, but nothing quantized anywhere
};

/// A quantizer of an activation, an output or the input as a walk comes by.
struct QuantizerCall {
  const Layer& layer;  ///< the QuantizeWrapper or QuantizeLayer
  const std::string& prefix;
  const Quantizer& quantizer;
  Variable seen, made;
};

struct WalkHooks {
  std::function<void(const QuantizerCall&)> on_quantizer = {};
  /// Told what each layer, those of nested models too, puts out.
  std::function<void(const Layer&, const Twin&)> on_output = {};
};

/// Inference: nothing in the model changes. The quantized value is model.forward(x,
/// Context::for_inference()) bit by bit.
Twin walk(Model& model, const Variable& x, const WalkHooks& hooks);

}  // namespace perch
