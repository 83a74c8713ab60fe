#include <algorithm>
#include <map>

#include <perch/core/check.h>
#include <perch/layers/model.h>
#include <perch/layers/state.h>

namespace perch {
namespace {

class StateCollector final : public Visitor {
 public:
  explicit StateCollector(Layer& root) : root_is_model_(dynamic_cast<Model*>(&root) != nullptr) {
    scope_ = {.owner = root.name(), .prefix = "", .trainable = root.trainable()};
    top_ = root.name();
    root.visit(*this);
  }

  void weight(std::string_view name, Variable& value) override {
    StateEntry& entry = append(name, value.defined());
    entry.weight = &value;
    entry.trainable = scope_.trainable;
  }
  void buffer(std::string_view name, Tensor& value) override {
    append(name, !value.empty()).buffer = &value;
  }
  void counter(std::string_view name, std::int32_t& value) override {
    append(name, true).counter = &value;
  }

  void child(std::string_view, Visitable& child) override {
    const Scope outer = scope_;
    if (const auto* layer = dynamic_cast<const Layer*>(&child)) {
      scope_ = {layer->name(), "", outer.trainable && layer->trainable()};
      if (depth_ == 0 && root_is_model_) top_ = layer->name();
    }
    ++depth_;
    child.visit(*this);
    --depth_;
    scope_ = outer;
  }
  void part(std::string_view prefix, Visitable& part) override {
    const std::string outer = scope_.prefix;
    scope_.prefix += fmt::format("{}_", prefix);
    part.visit(*this);
    scope_.prefix = outer;
  }

  std::vector<StateEntry> entries;

 private:
  struct Scope {
    std::string owner, prefix;
    bool trainable = true;
  };

  StateEntry& append(std::string_view name, bool has_value) {
    StateEntry& entry = entries.emplace_back();
    entry.name = fmt::format("{}/{}{}", scope_.owner, scope_.prefix, name);
    entry.layer = top_;
    entry.of_part = !scope_.prefix.empty();
    PERCH_CHECK(has_value, "{} has no value yet; build the model first", entry.name);
    return entry;
  }

  bool root_is_model_;
  Scope scope_;
  std::string top_;
  int depth_ = 0;
};

class FindWeight final : public Visitor {
 public:
  explicit FindWeight(std::string_view name) : name_(name) {}
  void weight(std::string_view name, Variable& value) override {
    if (name == name_) found = &value;
  }
  void child(std::string_view, Visitable&) override {}
  void part(std::string_view, Visitable&) override {}

  Variable* found = nullptr;

 private:
  std::string_view name_;
};

}  // namespace

Variable* find_weight(Layer& layer, std::string_view name) {
  FindWeight find(name);
  layer.visit(find);
  return find.found;
}

Shape StateEntry::shape() const {
  return counter != nullptr ? Shape{} : tensor()->shape();
}

const Tensor* StateEntry::tensor() const {
  return weight != nullptr ? &weight->value() : buffer;
}

std::vector<StateEntry> state_of(Layer& layer) {
  return StateCollector(layer).entries;
}

void copy_state(Layer& from, Layer& to) {
  std::map<std::string, StateEntry> sources;
  for (StateEntry& entry : state_of(from)) sources.emplace(entry.name, entry);

  std::vector<std::pair<StateEntry, StateEntry>> pairs;
  for (StateEntry& target : state_of(to)) {
    const auto source = sources.find(target.name);
    PERCH_CHECK(source != sources.end(), "copy_state: the source has no variable {}", target.name);
    PERCH_CHECK(source->second.shape() == target.shape() &&
                    (source->second.counter == nullptr) == (target.counter == nullptr),
                "copy_state: {} has shape {} in the source and {} in the target", target.name,
                source->second.shape().to_string(), target.shape().to_string());
    pairs.emplace_back(source->second, target);
    sources.erase(source);
  }
  PERCH_CHECK(sources.empty(), "copy_state: the target has no variable {}", sources.begin()->first);

  for (auto& [source, target] : pairs) {
    if (target.counter != nullptr) {
      *target.counter = *source.counter;
    } else {
      (target.weight != nullptr ? target.weight->mutable_value() : *target.buffer)
          .copy_from(*source.tensor());
    }
  }
}

ParameterCount count_parameters(Layer& layer) {
  ParameterCount count;
  for (const StateEntry& entry : state_of(layer)) {
    (entry.trainable ? count.trainable : count.other) += entry.shape().size();
  }
  return count;
}

}  // namespace perch
