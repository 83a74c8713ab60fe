#include <perch/core/check.h>
#include <perch/layers/state.h>
#include <perch/train/snapshot.h>

namespace perch {

Snapshot::Snapshot(Layer& model) {
  take(model);
}

void Snapshot::take(Layer& model) {
  tensors_.clear();
  counters_.clear();
  for (const StateEntry& entry : state_of(model)) {
    if (const Tensor* const tensor = entry.tensor()) {
      tensors_.push_back(tensor->clone());
    } else {
      counters_.push_back(*entry.counter);
    }
  }
}

void Snapshot::restore(Layer& model) const {
  const std::vector<StateEntry> state = state_of(model);
  PERCH_CHECK(state.size() == tensors_.size() + counters_.size(),
              "snapshot: the model has {} variables, the copy {}", state.size(),
              tensors_.size() + counters_.size());
  std::size_t tensor = 0, counter = 0;
  for (const StateEntry& entry : state) {
    if (entry.weight != nullptr) {
      entry.weight->mutable_value().copy_from(tensors_[tensor++]);
    } else if (entry.buffer != nullptr) {
      entry.buffer->copy_from(tensors_[tensor++]);
    } else {
      *entry.counter = counters_[counter++];
    }
  }
}

}  // namespace perch
