#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <perch/core/check.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/integer_bias.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

Layer& layer_at(const Model& model, NodeId node) {
  return *model.nodes()[static_cast<std::size_t>(node)].layer;
}

/// Whether outputs lie on the input's grid, of which 0 is a level.
bool hands_on(Layer& layer) {
  static const std::set<std::string> kinds{"Dropout", "Flatten", "MaxPooling2D", "Reshape",
                                           "ZeroPadding2D"};
  const std::string kind = layer.kind();
  if (kind == "Activation") {
    const std::string function = activation_of(layer);
    return function == "linear" || function == "relu";
  }
  if (kind != "ReLU") return kinds.contains(kind);
  LayerSpec spec;
  read_config(layer, spec);
  return std::get<float>(*spec.find("max_value")) == 0.0f &&
         std::get<float>(*spec.find("negative_slope")) == 0.0f;
}

/// The first answer on the way back from a node's input; nothing where a layer that changes values,
/// or several inputs, stand before it. `at` is asked for Model::input too.
template <class At>
auto traced(const Model& model, NodeId node, const At& at) -> decltype(at(node)) {
  for (;;) {
    const std::vector<NodeId>& inputs = model.nodes()[static_cast<std::size_t>(node)].inputs;
    if (inputs.size() != 1) return {};
    node = inputs.front();
    if (auto found = at(node)) return found;
    if (node == Model::input) return {};
    Layer& layer = layer_at(model, node);
    auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
    if (!hands_on(wrapper == nullptr ? layer : wrapper->layer())) return {};
  }
}

/// Of what is in the model already.
Quantizer* output_quantizer(const Model& model, NodeId node) {
  if (node == Model::input) return nullptr;
  Layer& layer = layer_at(model, node);
  if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) return &input->quantizer();
  auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
  if (wrapper == nullptr) return nullptr;
  for (const char* const prefix : {"output", "post_activation"}) {
    const auto found = wrapper->quantizers().find(prefix);
    if (found != wrapper->quantizers().end()) return found->second.get();
  }
  return nullptr;
}

bool one_even_grid(const QuantSpec& spec) {
  return has_even_levels(spec.range) && !std::holds_alternative<LsqPlus>(spec.range) &&
         spec.granularity.kind == Granularity::Kind::tensor && !spec.observe_only;
}

void check(const std::string& name, Layer& layer, const QuantizeConfig& config,
           const std::optional<QuantSpec>& input) {
  PERCH_CHECK(config.fold || find_weight(layer, "bias") != nullptr,
              "quantize {}: integer bias: the layer has no bias; leave it out here", name);
  PERCH_CHECK(!config.weights.contains("bias"),
              "quantize {}: integer bias: the bias has a quantizer already; leave one of them out",
              name);
  auto kernel = config.weights.find("kernel");
  if (kernel == config.weights.end()) kernel = config.weights.find(main_weight(layer.kind()));
  const bool fits = kernel != config.weights.end() && has_even_levels(kernel->second.range) &&
                    !kernel->second.observe_only &&
                    (kernel->second.granularity.kind == Granularity::Kind::tensor ||
                     kernel->second.granularity.kind == Granularity::Kind::channel);
  PERCH_CHECK(fits,
              "quantize {}: integer bias: its scale is that of the kernel, which must be quantized "
              "to even levels, per tensor or per channel",
              name);
  PERCH_CHECK(input && one_even_grid(*input),
              "quantize {}: integer bias: its scale is that of the input, which must come from a "
              "quantizer with one even grid; quantize what feeds the layer",
              name);
}

}  // namespace

Quantizer* feeding_quantizer(const Model& model, NodeId node) {
  return traced(model, node, [&](NodeId id) { return output_quantizer(model, id); });
}

std::vector<double> bias_scales(const Quantizer& input, const Quantizer& kernel,
                                std::int64_t channels) {
  for (const Quantizer* const quantizer : {&input, &kernel}) {
    if (!quantizer->mode.quantizes || quantizer->mode.share != 1.0f) return {};
  }
  const std::vector<QuantGrid> of_input = input.grids(), of_kernel = kernel.grids();
  if (of_input.size() != 1 || of_kernel.empty()) return {};
  std::vector<double> scales(static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const QuantGrid& own = of_kernel.size() == 1 ? of_kernel[0] : of_kernel.at(i);
    scales[i] = double{of_input[0].scale} * double{own.scale};
  }
  return scales;
}

Variable integer_bias(const Variable& bias, const std::vector<double>& scales) {
  PERCH_CHECK(bias.value().size() == static_cast<std::int64_t>(scales.size()),
              "integer_bias: {} scales for a bias of shape {}", scales.size(),
              bias.shape().to_string());
  constexpr double low = std::numeric_limits<std::int32_t>::min();
  constexpr double high = std::numeric_limits<std::int32_t>::max();
  Tensor rounded = bias.value().clone();
  for (std::size_t i = 0; i < scales.size(); ++i) {
    float& value = rounded.values()[i];
    // A range of nothing has no step, and its layer's products are all 0.
    if (!(scales[i] > 0.0)) continue;
    const double level = std::clamp(std::floor(double{value} / scales[i] + 0.5), low, high);
    value = static_cast<float>(level * scales[i]);
  }
  return Variable::from_op("integer_bias", std::move(rounded), {bias},
                           [](Tensor dy) -> std::vector<Tensor> { return {std::move(dy)}; });
}

void check_integer_biases(const Model& model, const std::map<std::size_t, QuantizeConfig>& plan,
                          const std::optional<QuantSpec>& input) {
  const auto planned = [&](NodeId id) -> std::optional<QuantSpec> {
    if (id == Model::input) return input;
    if (const Quantizer* const held = output_quantizer(model, id)) return held->spec();
    const auto found = plan.find(static_cast<std::size_t>(id));
    if (found == plan.end()) return std::nullopt;
    return found->second.output ? found->second.output : found->second.activation;
  };
  for (const auto& [node, config] : plan) {
    if (!config.integer_bias) continue;
    const auto id = static_cast<NodeId>(node);
    Layer& layer = layer_at(model, id);
    check(layer.name(), layer, config, traced(model, id, planned));
  }
}

}  // namespace perch
