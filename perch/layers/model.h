// Model: layers in a directed acyclic graph with one input and one output; itself a layer.
// Sequential is the graph without branches, Graph the one that is put together node by node.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include <perch/layers/layer.h>

namespace perch {

/// Index of a node's output within its model; Model::input is the model's own input.
using NodeId = int;

class Model : public Layer {
 public:
  static constexpr NodeId input = -1;
  struct Node {
    std::unique_ptr<Layer> layer;
    std::vector<NodeId> inputs;  // every one an earlier node or Model::input
  };

  struct BuildOptions {
    std::uint64_t seed = 0;
  };
  /// Gives names to nameless layers and creates all weights for inputs of this shape (without
  /// batch axis). Errors carry the layer's name. Returns the output's shape.
  Shape build(const Shape& input_shape, const BuildOptions& options);
  Shape build(const Shape& input_shape) { return build(input_shape, BuildOptions{}); }
  Shape build(const std::vector<Shape>& inputs, const WeightInit& init) override;

  Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                 const Context& context) override;
  /// The model's output for a batch.
  Variable forward(const Variable& x, const Context& context);
  void visit(Visitor& visitor) override;
  /// Throws Error(usage) unless the model is built, for batches like this one.
  void check_input(const Variable& x) const;

  bool built() const { return built_; }
  /// Throws Error(usage) unless built.
  const Shape& input_shape() const;
  const Shape& output_shape() const;
  /// Output shape of each node, without batch axis. Throws Error(usage) unless built.
  const std::vector<Shape>& node_shapes() const;

  /// In topological order. Rewrites (quantize_apply) edit them, then build state anew as needed.
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& mutable_nodes() { return nodes_; }
  NodeId output() const { return output_; }
  /// Throws Error(usage) for a node that is not there.
  void set_output(NodeId node);
  /// Derives node shapes again after a rewrite, keeping the weights of layers that have them.
  void set_shapes(Shape input_shape, std::vector<Shape> node_shapes);
  /// Tells every layer its place (Layer::connect), as set_shapes() does; after a rewrite that put
  /// other layers into nodes.
  void connect_layers();

  /// By name, not looking into nested models. Throws Error(usage) naming the nearest.
  Layer& layer(std::string_view name);

 protected:
  NodeId append(std::unique_ptr<Layer> layer, std::vector<NodeId> inputs);
  void assign_names();

 private:
  std::vector<Node> nodes_;
  NodeId output_ = input;
  Shape input_shape_;
  std::vector<Shape> node_shapes_;
  bool built_ = false;
};

class Sequential : public Model {
 public:
  Sequential() = default;
  /// Sequential{Conv2D(32, 3), Flatten(), Dense(10)}: the layers are moved in.
  template <std::derived_from<Layer>... Layers>
  requires(sizeof...(Layers) > 0 &&
           (!std::derived_from<Layers, Sequential> && ...)) explicit Sequential(Layers... layers) {
    (add(std::make_unique<Layers>(std::move(layers))), ...);
  }
  template <std::derived_from<Layer> L>
  Sequential& add(L layer) {
    return add(std::make_unique<L>(std::move(layer)));
  }
  Sequential& add(std::unique_ptr<Layer> layer);

  std::string kind() const override { return "Sequential"; }
};

class Graph : public Model {
 public:
  /// graph.add(Add(), {a, b}): a node fed by earlier ones; the last one added is the output unless
  /// set_output() says otherwise. Throws Error(usage) for an input that is not there yet.
  template <std::derived_from<Layer> L>
  NodeId add(L layer, std::vector<NodeId> inputs) {
    return append(std::make_unique<L>(std::move(layer)), std::move(inputs));
  }
  NodeId add(std::unique_ptr<Layer> layer, std::vector<NodeId> inputs) {
    return append(std::move(layer), std::move(inputs));
  }

  std::string kind() const override { return "Graph"; }
  /// Reports "output", the index of the output's node, then the layers.
  void visit(Visitor& visitor) override;
};

}  // namespace perch
