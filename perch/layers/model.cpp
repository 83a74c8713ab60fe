#include <algorithm>
#include <cctype>
#include <set>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/model.h>

namespace perch {
namespace {

// Keras's rule: a capital starts a word when a small letter or digit follows or a small letter
// precedes it. "ReLU" -> "re_lu", "DepthwiseConv2D" -> "depthwise_conv2d".
std::string snake_case(const std::string& kind) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(kind[i]); };
  std::string result;
  for (std::size_t i = 0; i < kind.size(); ++i) {
    const bool before_word =
        i + 1 < kind.size() && (std::islower(at(i + 1)) || std::isdigit(at(i + 1)));
    if (i > 0 && std::isupper(at(i)) && (before_word || std::islower(at(i - 1)))) result += '_';
    result += static_cast<char>(std::tolower(at(i)));
  }
  return result;
}

// All layers below one, those inside of models and wrappers too.
class LayersBelow final : public Visitor {
 public:
  void child(std::string_view, Visitable& child) override {
    if (auto* layer = dynamic_cast<Layer*>(&child)) layers.push_back(layer);
    child.visit(*this);
  }
  void part(std::string_view, Visitable&) override {}

  std::vector<Layer*> layers;
};

// The value of a node, or the model's input, out of what nodes have put out so far.
template <class T>
std::vector<T> gather(const std::vector<NodeId>& ids, const T& input,
                      const std::vector<T>& values) {
  std::vector<T> result;
  result.reserve(ids.size());
  for (const NodeId id : ids) {
    result.push_back(id == Model::input ? input : values[static_cast<std::size_t>(id)]);
  }
  return result;
}

}  // namespace

Shape Model::build(const Shape& input_shape, const BuildOptions& options) {
  return build(std::vector{input_shape}, WeightInit(options.seed));
}

Shape Model::build(const std::vector<Shape>& inputs, const WeightInit& init) {
  PERCH_CHECK(inputs.size() == 1, "a model takes one input, got {}", inputs.size());
  PERCH_CHECK(!nodes_.empty(), "the model has no layers; add one before build()");
  assign_names();
  std::vector<Shape> shapes;
  for (const Node& node : nodes_) {
    shapes.push_back(with_layer_name(*node.layer, [&] {
      return node.layer->build(gather(node.inputs, inputs[0], shapes), init);
    }));
  }
  set_shapes(inputs[0], std::move(shapes));
  return output_shape();
}

Variable Model::apply(const std::vector<Variable>& inputs, const Weights&, const Context& context) {
  PERCH_CHECK(inputs.size() == 1, "a model takes one input, got {}", inputs.size());
  const Variable& x = inputs[0];
  check_input(x);

  std::vector<int> uses(nodes_.size(), 0);
  for (const Node& node : nodes_) {
    for (const NodeId id : node.inputs) {
      if (id != input) ++uses[static_cast<std::size_t>(id)];
    }
  }
  ++uses[static_cast<std::size_t>(output_)];

  std::vector<Variable> values(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    values[i] = with_layer_name(
        *node.layer, [&] { return (*node.layer)(gather(node.inputs, x, values), context); });
    if (context.on_output) context.on_output(*node.layer, values[i]);
    // Outside of training an intermediate result lives just as long as a later node needs it.
    for (const NodeId id : node.inputs) {
      if (id != input && --uses[static_cast<std::size_t>(id)] == 0) {
        values[static_cast<std::size_t>(id)] = {};
      }
    }
  }
  return values[static_cast<std::size_t>(output_)];
}

void Model::check_input(const Variable& x) const {
  PERCH_CHECK(built_, "the model is not built; call build() with the input's shape first");
  PERCH_CHECK(x.shape().rank() >= 1 && x.shape().unbatched() == input_shape_,
              "the model takes batches of {}, got {}", input_shape_.to_string(),
              x.shape().to_string());
}

Variable Model::forward(const Variable& x, const Context& context) {
  return (*this)({x}, context);
}

void Model::visit(Visitor& visitor) {
  for (const Node& node : nodes_) {
    visitor.child(fmt::format("{}", fmt::join(node.inputs, ",")), *node.layer);
  }
}

const Shape& Model::input_shape() const {
  PERCH_CHECK(built_, "the model has no input shape yet; call build() first");
  return input_shape_;
}

const Shape& Model::output_shape() const {
  return node_shapes()[static_cast<std::size_t>(output_)];
}

const std::vector<Shape>& Model::node_shapes() const {
  PERCH_CHECK(built_, "the model has no shapes yet; call build() first");
  return node_shapes_;
}

void Model::set_output(NodeId node) {
  PERCH_CHECK(node >= 0 && node < static_cast<NodeId>(nodes_.size()),
              "there is no node {} to be the output; the model has {}", node, nodes_.size());
  output_ = node;
}

void Model::set_shapes(Shape input_shape, std::vector<Shape> node_shapes) {
  PERCH_CHECK(node_shapes.size() == nodes_.size(), "{} shapes for {} nodes", node_shapes.size(),
              nodes_.size());
  input_shape_ = std::move(input_shape);
  node_shapes_ = std::move(node_shapes);
  built_ = true;
  connect_layers();
}

void Model::connect_layers() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].layer->connect(*this, static_cast<NodeId>(i));
  }
}

Layer& Model::layer(std::string_view name) {
  std::vector<std::string> names;
  for (const Node& node : nodes_) {
    if (node.layer->name() == name) return *node.layer;
    names.push_back(node.layer->name());
  }
  fail(ErrorCode::usage, "there is no layer \"{}\"; there are {}", name, choices(name, names));
}

NodeId Model::append(std::unique_ptr<Layer> layer, std::vector<NodeId> inputs) {
  PERCH_CHECK(layer != nullptr, "cannot add a layer that is null");
  PERCH_CHECK(!inputs.empty(), "a {} needs at least one input node", layer->kind());
  const auto count = static_cast<NodeId>(nodes_.size());
  for (const NodeId id : inputs) {
    PERCH_CHECK(id >= input && id < count,
                "a {} cannot be fed by node {}; there are {} nodes before it", layer->kind(), id,
                count);
  }
  nodes_.push_back({std::move(layer), std::move(inputs)});
  built_ = false;
  output_ = count;
  return count;
}

void Model::assign_names() {
  LayersBelow below;
  visit(below);
  std::set<std::string> taken;
  for (const Layer* layer : below.layers) {
    PERCH_CHECK(layer->name().empty() || taken.insert(layer->name()).second,
                "two layers are called \"{}\"; give one of them another name", layer->name());
  }
  for (Layer* layer : below.layers) {
    if (!layer->name().empty()) continue;
    const std::string base = snake_case(layer->kind());
    std::string name = base;
    for (int i = 1; !taken.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
    layer->set_name(name);
  }
}

Sequential& Sequential::add(std::unique_ptr<Layer> layer) {
  append(std::move(layer), {static_cast<NodeId>(nodes().size()) - 1});
  return *this;
}

void Graph::visit(Visitor& visitor) {
  std::int64_t node = output();
  visitor.config("output", node);
  if (node != output()) set_output(static_cast<NodeId>(node));
  Model::visit(visitor);
}

}  // namespace perch
