#include <algorithm>
#include <utility>
#include <vector>

#include <perch/core/check.h>
#include <perch/layers/graph.h>

namespace perch {

std::optional<NodeId> sole_reader(const Model& model, NodeId node) {
  if (node == model.output()) return std::nullopt;
  std::optional<NodeId> reader;
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    const auto reads = std::ranges::count(model.nodes()[i].inputs, node);
    if (reads == 0) continue;
    if (reads > 1 || reader) return std::nullopt;
    reader = static_cast<NodeId>(i);
  }
  return reader;
}

NodeId insert_behind(Model& model, NodeId node, std::unique_ptr<Layer> layer, const Shape& shape) {
  // Whoever read `node` reads the one behind it, which is the new one; all later ones move up too.
  const NodeId fresh = node + 1;
  std::vector<Model::Node>& nodes = model.mutable_nodes();
  for (Model::Node& other : nodes) {
    for (NodeId& id : other.inputs) id += id >= node ? 1 : 0;
  }
  const NodeId output = model.output();
  const Shape input_shape = model.input_shape();
  std::vector<Shape> shapes = model.node_shapes();
  nodes.insert(nodes.begin() + fresh, Model::Node{std::move(layer), {node}});
  shapes.insert(shapes.begin() + fresh, shape);
  model.set_shapes(input_shape, std::move(shapes));
  model.set_output(output >= node ? output + 1 : output);
  return fresh;
}

std::unique_ptr<Layer> remove_node(Model& model, NodeId node) {
  std::vector<Model::Node>& nodes = model.mutable_nodes();
  Model::Node& removed = nodes[static_cast<std::size_t>(node)];
  PERCH_CHECK(removed.inputs.size() == 1, "remove_node: {} has {} inputs, must have 1",
              removed.layer->name(), removed.inputs.size());
  const NodeId source = removed.inputs.front();
  const auto renumbered = [&](NodeId id) {
    if (id == node) return source;
    return id > node ? id - 1 : id;
  };
  std::unique_ptr<Layer> layer = std::move(removed.layer);
  const NodeId output = renumbered(model.output());
  const Shape input_shape = model.input_shape();
  std::vector<Shape> shapes = model.node_shapes();
  nodes.erase(nodes.begin() + node);
  shapes.erase(shapes.begin() + node);
  for (Model::Node& other : nodes) {
    for (NodeId& id : other.inputs) id = renumbered(id);
  }
  model.set_shapes(input_shape, std::move(shapes));
  model.set_output(output);
  return layer;
}

}  // namespace perch
