#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include <perch/io/keras_order.h>

namespace perch::io {

namespace {

struct Place {
  int distance = -1;  // from the output; -1: not on the way to it
  int walk = 0;       // number in the depth-first walk
};

// Without recursion, since the depth is a file's choice.
void walk_from_output(const Model& model, std::vector<Place>& places) {
  std::vector<NodeId> waiting{model.output()};
  for (int met = 0; !waiting.empty();) {
    const NodeId id = waiting.back();
    waiting.pop_back();
    if (id == Model::input) continue;
    Place& place = places[static_cast<std::size_t>(id)];
    if (place.distance >= 0) continue;
    place = {.distance = 0, .walk = met++};
    const std::vector<NodeId>& inputs = model.nodes()[static_cast<std::size_t>(id)].inputs;
    waiting.insert(waiting.end(), inputs.rbegin(), inputs.rend());
  }
}

void measure_distances(const Model& model, std::vector<Place>& places) {
  for (std::size_t i = places.size(); i-- > 0;) {
    if (places[i].distance < 0) continue;
    for (const NodeId id : model.nodes()[i].inputs) {
      if (id == Model::input) continue;
      int& distance = places[static_cast<std::size_t>(id)].distance;
      distance = std::max(distance, places[i].distance + 1);
    }
  }
}

void append_state(Layer& layer, const std::string& top, bool trainable,
                  std::vector<StateEntry>& entries) {
  if (auto* const model = dynamic_cast<Model*>(&layer)) {
    for (const NodeId id : keras_order(*model)) {
      append_state(*model->nodes()[static_cast<std::size_t>(id)].layer, top,
                   trainable && model->trainable(), entries);
    }
    return;
  }
  for (StateEntry& entry : state_of(layer)) {
    entry.layer = top;
    entry.trainable = entry.trainable && trainable;
    entries.push_back(std::move(entry));
  }
}

}  // namespace

std::vector<NodeId> keras_order(const Model& model) {
  std::vector<Place> places(model.nodes().size());
  walk_from_output(model, places);
  measure_distances(model, places);
  std::vector<NodeId> order(places.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](NodeId id) {
    const auto& [distance, walk] = places[static_cast<std::size_t>(id)];
    return std::pair(-distance, walk);
  });
  return order;
}

std::vector<StateEntry> keras_state(Model& model) {
  std::vector<StateEntry> entries;
  for (const NodeId id : keras_order(model)) {
    Layer& layer = *model.nodes()[static_cast<std::size_t>(id)].layer;
    const auto begin = static_cast<std::ptrdiff_t>(entries.size());
    append_state(layer, layer.name(), model.trainable(), entries);
    if (dynamic_cast<Model*>(&layer) == nullptr) continue;
    std::stable_partition(entries.begin() + begin, entries.end(),
                          std::mem_fn(&StateEntry::trainable));
  }
  return entries;
}

}  // namespace perch::io
