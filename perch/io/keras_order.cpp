#include <algorithm>
#include <map>
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
  std::map<std::string, std::size_t> rank;
  for (const NodeId id : keras_order(model)) {
    rank.emplace(model.nodes()[static_cast<std::size_t>(id)].layer->name(), rank.size());
  }
  std::vector<StateEntry> entries = state_of(model);
  std::ranges::stable_sort(entries, {}, [&](const StateEntry& e) { return rank.at(e.layer); });
  return entries;
}

}  // namespace perch::io
