#include <algorithm>
#include <set>
#include <utility>

#include <perch/core/check.h>
#include <perch/layers/graph.h>
#include <perch/quant/apply.h>
#include <perch/quant/integer_bias.h>

namespace perch {
namespace {

// tfmot's registry for a layer that nobody annotated but whose output feeds a quantized one:
// nothing where it leaves the layer alone.
std::optional<QuantizeConfig> default_config(Layer& layer) {
  static const std::set<std::string> quantized_output{
      "ReLU", "LeakyReLU", "Add", "Concatenate", "AveragePooling2D", "GlobalAveragePooling2D"};
  static const std::set<std::string> passing{"Conv2D",  "Dense",   "DepthwiseConv2D",
                                             "Dropout", "Flatten", "MaxPooling2D",
                                             "Reshape", "Softmax", "ZeroPadding2D"};
  const std::string kind = layer.kind();
  bool output = quantized_output.contains(kind);
  if (kind == "Activation") {
    const std::string activation = activation_of(layer);
    output = activation.ends_with("relu") || activation == "relu6";
  } else if (!output && !passing.contains(kind)) {
    return std::nullopt;
  }
  if (!output) return QuantizeConfig{};
  return QuantizeConfig{.output = QuantSpec{.range = MovingAverage{}}};
}

// The configurations of every node that will be wrapped, by node.
using Plan = std::map<std::size_t, QuantizeConfig>;

Plan annotated_nodes(Model& model, const std::map<std::string, QuantizeConfig>& configs) {
  Plan plan;
  for (const auto& [name, config] : configs) {
    const Layer& layer = model.layer(name);
    PERCH_CHECK(!is_quantized(layer), "quantize {}: the layer is quantized already", name);
    const auto node = std::find_if(model.nodes().begin(), model.nodes().end(),
                                   [&](const Model::Node& n) { return n.layer.get() == &layer; });
    plan.emplace(static_cast<std::size_t>(node - model.nodes().begin()), config);
  }
  return plan;
}

Plan with_feeding_layers(const Model& model, const Plan& annotated) {
  Plan plan = annotated;
  for (const auto& [node, config] : annotated) {
    const std::vector<NodeId>& inputs = model.nodes()[node].inputs;
    if (inputs.size() != 1 || inputs[0] == Model::input) continue;
    const auto feeding = static_cast<std::size_t>(inputs[0]);
    Layer& layer = *model.nodes()[feeding].layer;
    if (is_quantized(layer) || plan.contains(feeding)) continue;
    if (auto defaults = default_config(layer)) plan.emplace(feeding, *std::move(defaults));
  }
  return plan;
}

void check_plan(const Model& model, const Plan& plan) {
  std::set<std::string> names;
  for (const Model::Node& node : model.nodes()) names.insert(node.layer->name());
  for (const auto& [node, config] : plan) {
    Layer& layer = *model.nodes()[node].layer;
    QuantizeWrapper::check(layer, config, model.node_shapes()[node]);
    PERCH_CHECK(!names.contains("quant_" + layer.name()),
                "quantize {0}: the model has another layer called quant_{0}; rename it",
                layer.name());
  }
}

void wrap(Model& model, const Plan& plan) {
  for (const auto& [node, config] : plan) {
    std::unique_ptr<Layer>& layer = model.mutable_nodes()[node].layer;
    auto wrapper = std::make_unique<QuantizeWrapper>(std::move(layer), config);
    wrapper->build_quantizers(model.node_shapes()[node]);
    layer = std::move(wrapper);
  }
}

bool reads_input(const Model::Node& node) {
  return std::find(node.inputs.begin(), node.inputs.end(), Model::input) != node.inputs.end();
}

void quantize_input(Model& model, const QuantSpec& spec) {
  std::set<std::string> names;
  for (const Model::Node& node : model.nodes()) {
    if (reads_input(node) && node.layer->kind() == "QuantizeLayer") return;
    names.insert(node.layer->name());
  }
  auto layer = std::make_unique<QuantizeLayer>(spec);
  for (int i = 1; names.contains(layer->name()); ++i) {
    layer->set_name(fmt::format("quantize_layer_{}", i));
  }
  layer->build({model.input_shape()}, WeightInit(0));
  insert_behind(model, Model::input, std::move(layer), model.input_shape());
}

/// Folds first what is to be folded; the configurations of the nodes that are left. Throws
/// Error(usage) before anything changes.
Plan fold(Model& model, const Plan& plan) {
  std::set<NodeId> norms;
  for (const auto& [node, config] : plan) {
    if (!config.fold) continue;
    const std::string& name = model.nodes()[node].layer->name();
    const auto norm = foldable_norm(model, static_cast<NodeId>(node));
    PERCH_CHECK(
        norm,
        "quantize {}: no batch normalisation can be folded into it; one must alone read its "
        "output, without an activation function between",
        name);
    const auto own = plan.find(static_cast<std::size_t>(*norm));
    const std::string& folded = model.nodes()[static_cast<std::size_t>(*norm)].layer->name();
    PERCH_CHECK(
        own == plan.end() || own->second == QuantizeConfig{},
        "quantize {}: it is folded into {}, so that there is nothing left to quantize; give "
        "that layer an activation or output quantizer instead",
        folded, name);
    norms.insert(*norm);
  }
  Plan left;
  for (const auto& [node, config] : plan) {
    const auto id = static_cast<NodeId>(node);
    if (norms.contains(id)) continue;
    const auto before = std::distance(norms.begin(), norms.lower_bound(id));
    left.emplace(node - static_cast<std::size_t>(before), config);
  }
  // From the last one, so that the numbers of those to come stay.
  for (auto at = plan.rbegin(); at != plan.rend(); ++at) {
    if (at->second.fold) fold_batch_norm(model, static_cast<NodeId>(at->first), *at->second.fold);
  }
  return left;
}

}  // namespace

std::map<std::string, QuantizeConfig> choose_configs(const Model& model,
                                                     const ChooseConfig& choose) {
  PERCH_CHECK(model.built(), "quantize: the model is not built; call build() first");
  std::map<std::string, QuantizeConfig> configs;
  for (const Model::Node& node : model.nodes()) {
    if (is_quantized(*node.layer)) continue;
    if (auto config = choose(*node.layer)) configs.emplace(node.layer->name(), *std::move(config));
  }
  return configs;
}

std::map<std::string, QuantizeConfig> feeding_configs(
    const Model& model, const std::map<std::string, QuantizeConfig>& configs) {
  PERCH_CHECK(model.built(), "quantize: the model is not built; call build() first");
  Plan annotated;
  for (std::size_t node = 0; node < model.nodes().size(); ++node) {
    const auto found = configs.find(model.nodes()[node].layer->name());
    if (found != configs.end()) annotated.emplace(node, found->second);
  }
  std::map<std::string, QuantizeConfig> feeding;
  for (auto& [node, config] : with_feeding_layers(model, annotated)) {
    if (!annotated.contains(node)) feeding.emplace(model.nodes()[node].layer->name(), config);
  }
  return feeding;
}

void apply_in_place(Model& model, const std::map<std::string, QuantizeConfig>& configs,
                    const ApplyOptions& options) {
  PERCH_CHECK(model.built(), "quantize: the model is not built; call build() first");
  PERCH_CHECK(!configs.empty(), "quantize: no layer is annotated; annotate at least one");
  const Plan annotated = annotated_nodes(model, configs);
  const Plan plan = options.output_quantizers ? with_feeding_layers(model, annotated) : annotated;
  check_plan(model, plan);
  check_integer_biases(model, plan, options.input_quantizer);
  wrap(model, fold(model, plan));
  if (options.input_quantizer) quantize_input(model, *options.input_quantizer);
  model.connect_layers();
}

}  // namespace perch
