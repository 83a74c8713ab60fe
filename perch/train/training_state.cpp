#include <charconv>
#include <set>
#include <sstream>
#include <utility>

#include <perch/core/check.h>
#include <perch/layers/model.h>
#include <perch/layers/state.h>
#include <perch/optim/optimizer.h>
#include <perch/train/training_state.h>

namespace perch {
namespace {

constexpr const char* of_model = "model/";
constexpr const char* of_optimizer = "optimizer/";

std::string prefix_of(const std::string& callback) {
  return fmt::format("callbacks/{}/", callback);
}

/// use(callback, prefix) for those with a state; a second one of a name has its number behind it.
template <class Use>
void for_each_stateful(const std::vector<CallbackPtr>& callbacks, const Use& use) {
  std::map<std::string, int> seen;
  for (const CallbackPtr& callback : callbacks) {
    const std::string name = callback->state_name();
    if (name.empty()) continue;
    const int number = ++seen[name];
    use(*callback, prefix_of(number == 1 ? name : fmt::format("{}_{}", name, number)));
  }
}

template <class T>
T parse(const std::string& text, const std::string& name) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    fail(ErrorCode::bad_data, "{} is '{}', which is no number", name, text);
  }
  return value;
}

/// A callback's state into maps.
class Collect final : public Visitor {
 public:
  Collect(TrainingState& state, std::string prefix) : state_(state), prefix_(std::move(prefix)) {}

  void config(std::string_view name, bool& value) override { put(name, value ? "true" : "false"); }
  void config(std::string_view name, std::int64_t& value) override {
    put(name, std::to_string(value));
  }
  void config(std::string_view name, float& value) override { put(name, fmt::format("{}", value)); }
  void config(std::string_view name, std::string& value) override { put(name, value); }
  void config(std::string_view name, std::vector<std::int64_t>& value) override {
    put(name, fmt::format("{}", fmt::join(value, ",")));
  }
  void counter(std::string_view name, std::int32_t& value) override {
    put(name, std::to_string(value));
  }
  void buffer(std::string_view name, Tensor& value) override {
    if (!value.empty()) state_.tensors[prefix_ + std::string(name)] = value.clone();
  }
  void part(std::string_view prefix, Visitable& part) override {
    Collect collect(state_, fmt::format("{}{}/", prefix_, prefix));
    part.visit(collect);
  }

 private:
  void put(std::string_view name, std::string value) {
    state_.values[prefix_ + std::string(name)] = std::move(value);
  }

  TrainingState& state_;
  std::string prefix_;
};

/// And out of them again.
class Restore final : public Visitor {
 public:
  Restore(const TrainingState& state, std::string prefix)
      : state_(state), prefix_(std::move(prefix)) {}

  bool has(std::string_view name) const override { return find(name) != nullptr; }
  void config(std::string_view name, bool& value) override {
    if (const auto* text = find(name)) value = *text == "true";
  }
  void config(std::string_view name, std::int64_t& value) override { number(name, value); }
  void config(std::string_view name, float& value) override { number(name, value); }
  void config(std::string_view name, std::string& value) override {
    if (const auto* text = find(name)) value = *text;
  }
  void config(std::string_view name, std::vector<std::int64_t>& value) override {
    const auto* const text = find(name);
    if (text == nullptr) return;
    value.clear();
    std::istringstream items(*text);
    for (std::string item; std::getline(items, item, ',');) {
      value.push_back(parse<std::int64_t>(item, prefix_ + std::string(name)));
    }
  }
  void counter(std::string_view name, std::int32_t& value) override { number(name, value); }
  void buffer(std::string_view name, Tensor& value) override {
    const auto found = state_.tensors.find(prefix_ + std::string(name));
    if (found != state_.tensors.end()) value = found->second.clone();
  }
  void part(std::string_view prefix, Visitable& part) override {
    Restore restore(state_, fmt::format("{}{}/", prefix_, prefix));
    part.visit(restore);
  }

 private:
  const std::string* find(std::string_view name) const {
    const auto found = state_.values.find(prefix_ + std::string(name));
    return found == state_.values.end() ? nullptr : &found->second;
  }
  template <class T>
  void number(std::string_view name, T& value) const {
    if (const auto* text = find(name)) value = parse<T>(*text, prefix_ + std::string(name));
  }

  const TrainingState& state_;
  std::string prefix_;
};

/// What the state has of one owner, taken piece by piece so that nothing is left over.
class Pieces {
 public:
  Pieces(const TrainingState& state, std::string prefix)
      : state_(state), prefix_(std::move(prefix)) {}

  const Tensor& tensor(const std::string& name, const Shape& shape) {
    const auto found = state_.tensors.find(prefix_ + name);
    if (found == state_.tensors.end()) missing(name);
    if (found->second.shape() != shape) {
      fail(ErrorCode::bad_data, "{}{} has shape {} in the checkpoint, {} in the model", prefix_,
           name, found->second.shape().to_string(), shape.to_string());
    }
    taken_.insert(found->first);
    return found->second;
  }
  std::int32_t counter(const std::string& name) {
    const auto found = state_.values.find(prefix_ + name);
    if (found == state_.values.end()) missing(name);
    taken_.insert(found->first);
    return parse<std::int32_t>(found->second, found->first);
  }
  void check_all_taken() const {
    const auto check = [&](const auto& pieces) {
      for (const auto& [name, piece] : pieces) {
        if (!name.starts_with(prefix_) || taken_.contains(name)) continue;
        fail(ErrorCode::bad_data, "the checkpoint has a variable {} that the model has not", name);
      }
    };
    check(state_.tensors);
    check(state_.values);
  }

 private:
  [[noreturn]] void missing(const std::string& name) const {
    fail(ErrorCode::bad_data, "the checkpoint has no variable {}{}", prefix_, name);
  }

  const TrainingState& state_;
  std::string prefix_;
  std::set<std::string> taken_;
};

/// The optimizer's slots in a state. A slot is of a weight of the model and has its shape.
Optimizer::Slots slots_in(const TrainingState& state, Pieces& pieces,
                          const std::map<std::string, Shape>& weights) {
  Optimizer::Slots slots;
  for (const auto& [name, tensor] : state.tensors) {
    if (!name.starts_with(of_optimizer)) continue;
    const std::string path = name.substr(std::string(of_optimizer).size());
    const std::size_t cut = path.find('/');
    const auto weight = weights.find(cut == std::string::npos ? "" : path.substr(cut + 1));
    if (weight == weights.end()) {
      fail(ErrorCode::bad_data, "{} belongs to no weight of the model", name);
    }
    slots[path.substr(0, cut)][weight->first] = pieces.tensor(path, weight->second).clone();
  }
  return slots;
}

}  // namespace

StatePieces look_up(const TrainingState& state, Model& model) {
  StatePieces found;
  Pieces pieces(state, of_model);
  std::map<std::string, Shape> weights;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.counter != nullptr) {
      found.counters.push_back(pieces.counter(entry.name));
    } else {
      found.tensors.push_back(&pieces.tensor(entry.name, entry.shape()));
      if (entry.weight != nullptr) weights.emplace(entry.name, entry.shape());
    }
  }
  pieces.check_all_taken();
  Pieces optimizer(state, of_optimizer);
  found.slots = slots_in(state, optimizer, weights);
  found.iterations = optimizer.counter("iterations");
  optimizer.check_all_taken();
  return found;
}

void collect_state(Model& model, Optimizer& optimizer, const std::vector<CallbackPtr>& callbacks,
                   TrainingState& state) {
  for (const StateEntry& entry : state_of(model)) {
    if (const Tensor* const tensor = entry.tensor()) {
      state.tensors[of_model + entry.name] = tensor->clone();
    } else {
      state.values[of_model + entry.name] = std::to_string(*entry.counter);
    }
  }
  Collect collect(state, of_optimizer);
  optimizer.visit(collect);
  for_each_stateful(callbacks, [&](Callback& callback, const std::string& prefix) {
    Collect collect_callback(state, prefix);
    callback.visit(collect_callback);
  });
}

void restore_state(const TrainingState& state, StatePieces pieces, Model& model,
                   Optimizer& optimizer, const std::vector<CallbackPtr>& callbacks) {
  auto tensor = pieces.tensors.begin();
  auto counter = pieces.counters.begin();
  for (const StateEntry& entry : state_of(model)) {
    if (entry.counter != nullptr) {
      *entry.counter = *counter++;
    } else if (entry.weight != nullptr) {
      entry.weight->mutable_value().copy_from(**tensor++);
    } else {
      entry.buffer->copy_from(**tensor++);
    }
  }
  optimizer.set_state(pieces.iterations, std::move(pieces.slots));
  for_each_stateful(callbacks, [&](Callback& callback, const std::string& prefix) {
    Restore restore(state, prefix);
    callback.visit(restore);
  });
}

std::vector<std::string> differences(const std::map<std::string, std::string>& then,
                                     const std::map<std::string, std::string>& now) {
  std::vector<std::string> result;
  const auto value = [](const std::map<std::string, std::string>& settings,
                        const std::string& name) {
    const auto found = settings.find(name);
    return found == settings.end() ? "nothing" : found->second;
  };
  std::set<std::string> names;
  for (const auto& [name, text] : then) names.insert(name);
  for (const auto& [name, text] : now) names.insert(name);
  for (const std::string& name : names) {
    const std::string before = value(then, name), after = value(now, name);
    if (before == after) continue;
    result.push_back(fmt::format("{}: {} in the checkpoint, {} now", name, before, after));
  }
  return result;
}

}  // namespace perch
