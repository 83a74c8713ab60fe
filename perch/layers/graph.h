// Questions to a model's graph, and changes of it that rewrites are made of.
#pragma once

#include <memory>
#include <optional>

#include <perch/layers/model.h>

namespace perch {

/// The node that alone reads a node which is not the model's output.
std::optional<NodeId> sole_reader(const Model& model, NodeId node);

/// Puts a layer that is built between a node (or Model::input) and all that read it; `shape` is its
/// output's, without batch axis. Nodes behind it get the next higher number. Returns the new node.
NodeId insert_behind(Model& model, NodeId node, std::unique_ptr<Layer> layer, const Shape& shape);

/// Takes out a node with one input, which its readers then read. Nodes behind it get the next lower
/// number. Throws Error(usage) for a node with more inputs.
std::unique_ptr<Layer> remove_node(Model& model, NodeId node);

/// use(layer) for a layer, or in its place for those of a model and of models in it, in their
/// order.
template <class Use>
void for_each_layer(Layer& layer, const Use& use) {
  auto* const model = dynamic_cast<Model*>(&layer);
  if (model == nullptr) {
    use(layer);
    return;
  }
  for (const Model::Node& node : model->nodes()) for_each_layer(*node.layer, use);
}

}  // namespace perch
