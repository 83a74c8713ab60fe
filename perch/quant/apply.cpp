#include <algorithm>
#include <set>
#include <utility>

#include <perch/core/check.h>
#include <perch/quant/apply.h>

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
  std::vector<Model::Node>& nodes = model.mutable_nodes();
  std::set<std::string> names;
  for (const Model::Node& node : nodes) {
    if (reads_input(node) && node.layer->kind() == "QuantizeLayer") return;
    names.insert(node.layer->name());
  }
  auto layer = std::make_unique<QuantizeLayer>(spec);
  for (int i = 1; names.contains(layer->name()); ++i) {
    layer->set_name(fmt::format("quantize_layer_{}", i));
  }
  layer->build({model.input_shape()}, WeightInit(0));

  const Shape input_shape = model.input_shape();
  std::vector<Shape> shapes = model.node_shapes();
  const NodeId output = model.output();
  // The new node is number 0, so that every other number goes up by one and readers of the model's
  // input (number -1) read the new node.
  for (Model::Node& node : nodes) {
    for (NodeId& id : node.inputs) ++id;
  }
  nodes.insert(nodes.begin(), Model::Node{std::move(layer), {Model::input}});
  shapes.insert(shapes.begin(), input_shape);
  model.set_shapes(input_shape, std::move(shapes));
  model.set_output(output + 1);
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
  wrap(model, plan);
  if (options.input_quantizer) quantize_input(model, *options.input_quantizer);
}

}  // namespace perch
