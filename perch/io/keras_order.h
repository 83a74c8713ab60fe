// The order in which Keras lists a model's layers and so, since it matches weights by their place,
// what a file holds.
#pragma once

#include <vector>

#include <perch/layers/model.h>
#include <perch/layers/state.h>

namespace perch::io {

/// A model's nodes by falling distance from the output (the longest way), those of one distance as
/// a depth-first walk from the output meets them: Keras 2's _map_graph_network. Nodes that the
/// output does not depend on come last.
std::vector<NodeId> keras_order(const Model& model);

/// state_of(model), layer by layer in that order; of a model in it, what is trained comes first, as
/// in Keras's trainable_weights + non_trainable_weights.
std::vector<StateEntry> keras_state(Model& model);

}  // namespace perch::io
