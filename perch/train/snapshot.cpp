#include <perch/core/check.h>
#include <perch/layers/state.h>
#include <perch/train/snapshot.h>

namespace perch {
namespace {

std::vector<StateEntry> entries_of(Layer& model, Snapshot::Part part) {
  std::vector<StateEntry> entries = state_of(model);
  if (part == Snapshot::Part::moved) {
    std::erase_if(entries, [](const StateEntry& e) { return e.weight != nullptr && !e.of_part; });
  }
  return entries;
}

}  // namespace

Snapshot::Snapshot(Layer& model) {
  take(model);
}

void Snapshot::visit(Visitor& visitor) {
  const auto visit_all = [&](const char* name, auto& values, const auto& report) {
    auto count = static_cast<std::int64_t>(values.size());
    visitor.config(name, count);
    constexpr std::int64_t most = 1'000'000;
    if (count < 0 || count > most) {
      fail(ErrorCode::bad_data, "snapshot: {} values; there are {} at most", count, most);
    }
    values.resize(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
      report(fmt::format("{}_{}", name, i), values[i]);
  };
  visit_all("tensor", tensors_,
            [&](const std::string& name, Tensor& value) { visitor.buffer(name, value); });
  visit_all("counter", counters_,
            [&](const std::string& name, std::int32_t& value) { visitor.counter(name, value); });
}

void Snapshot::take(Layer& model, Part part) {
  part_ = part;
  tensors_.clear();
  counters_.clear();
  for (const StateEntry& entry : entries_of(model, part)) {
    if (const Tensor* const tensor = entry.tensor()) {
      tensors_.push_back(tensor->clone());
    } else {
      counters_.push_back(*entry.counter);
    }
  }
}

void Snapshot::restore(Layer& model) const {
  const std::vector<StateEntry> state = entries_of(model, part_);
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
