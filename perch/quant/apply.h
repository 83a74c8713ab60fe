// annotate and apply: from a float model to one that trains with quantization in the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <perch/layers/model.h>
#include <perch/quant/config.h>
#include <perch/quant/wrapper.h>

namespace perch {

/// A model and which of its layers are to be quantized.
template <std::derived_from<Model> M>
struct Annotated {
  M model;
  std::map<std::string, QuantizeConfig> configs;  ///< by layer name
};

/// Chooses a layer's configuration; nothing leaves the layer float.
using ChooseConfig = std::function<std::optional<QuantizeConfig>(const Layer&)>;
/// Asks for every layer that is not quantized already. Throws Error(usage) unless built.
std::map<std::string, QuantizeConfig> choose_configs(const Model& model,
                                                     const ChooseConfig& choose);

/// By predicate over the layers of a built model.
template <std::derived_from<Model> M>
Annotated<M> quantize_annotate(M model, const ChooseConfig& choose) {
  auto configs = choose_configs(model, choose);
  return {std::move(model), std::move(configs)};
}
/// One layer, by name. Throws Error(usage) naming the nearest layer.
template <std::derived_from<Model> M>
Annotated<M> quantize_annotate(M model, const std::string& layer, const QuantizeConfig& config) {
  std::map<std::string, QuantizeConfig> configs{{model.layer(layer).name(), config}};
  return {std::move(model), std::move(configs)};
}
/// Every layer that has a main weight (Conv2D, DepthwiseConv2D, Dense).
template <std::derived_from<Model> M>
Annotated<M> quantize_annotate(M model, const QuantizeConfig& config) {
  return quantize_annotate(std::move(model), [&](const Layer& layer) {
    return main_weight(layer.kind()).empty() ? std::nullopt : std::optional(config);
  });
}

struct ApplyOptions {
  /// Adds what tfmot adds. On the input a quantize_layer (AllValues, 8 bits, asymmetric).
  std::optional<QuantSpec> input_quantizer = QuantSpec{};
  /// A float layer that is the sole input of an annotated one is wrapped: ReLU, LeakyReLU,
  /// Activation of these kinds, Add, Concatenate, AveragePooling2D and GlobalAveragePooling2D with
  /// an output quantizer (MovingAverage, 8 bits, asymmetric, per tensor); BatchNormalization and
  /// kinds that tfmot does not know stay as they are; others are wrapped without quantizers.
  bool output_quantizers = true;
};

/// What output_quantizers adds to these configurations, by layer name. Throws Error(usage) unless
/// built.
std::map<std::string, QuantizeConfig> feeding_configs(
    const Model& model, const std::map<std::string, QuantizeConfig>& configs);

/// Replaces the annotated layers of a built model by wrappers; weights stay as they are, and so do
/// the layers' order and inputs. Throws Error(usage) when nothing is annotated, or naming layer and
/// key when a configuration does not fit; the model is unchanged then.
void apply_in_place(Model& model, const std::map<std::string, QuantizeConfig>& configs,
                    const ApplyOptions& options = {});
template <std::derived_from<Model> M>
M quantize_apply(Annotated<M> annotated, const ApplyOptions& options = {}) {
  apply_in_place(annotated.model, annotated.configs, options);
  return std::move(annotated.model);
}

}  // namespace perch
