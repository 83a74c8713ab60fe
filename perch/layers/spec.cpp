#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>

namespace perch {
namespace {

std::string label(const LayerSpec& spec) {
  return spec.name.empty() ? spec.kind : spec.name;
}

class SpecReader final : public Visitor {
 public:
  explicit SpecReader(LayerSpec& spec) : spec_(spec) {}

  void config(std::string_view name, bool& value) override { put(name, value); }
  void config(std::string_view name, std::int64_t& value) override { put(name, value); }
  void config(std::string_view name, float& value) override { put(name, value); }
  void config(std::string_view name, std::string& value) override { put(name, value); }
  void config(std::string_view name, std::vector<std::int64_t>& value) override {
    put(name, value);
  }
  void child(std::string_view name, Visitable& child) override {
    auto* const layer = dynamic_cast<Layer*>(&child);
    if (layer == nullptr) return part(name, child);
    spec_.children.push_back({std::string(name), describe(*layer)});
  }
  void part(std::string_view prefix, Visitable& part) override {
    LayerSpec& spec = spec_.children.emplace_back(ChildSpec{std::string(prefix), {}}).layer;
    read_config(part, spec);
  }

 private:
  template <class T>
  void put(std::string_view name, const T& value) {
    spec_.config.emplace_back(name, value);
  }

  LayerSpec& spec_;
};

class ConfigWriter final : public Visitor {
 public:
  explicit ConfigWriter(const LayerSpec& spec) : spec_(spec) {}

  bool has(std::string_view name) const override { return spec_.find(name) != nullptr; }
  void config(std::string_view name, bool& value) override { take(name, value, "true or false"); }
  void config(std::string_view name, std::int64_t& value) override {
    take(name, value, "a whole number");
  }
  void config(std::string_view name, float& value) override {
    // JSON writes 1.0 as 1.
    const ConfigValue* const whole = spec_.find(name);
    if (whole != nullptr && std::holds_alternative<std::int64_t>(*whole)) {
      value = static_cast<float>(std::get<std::int64_t>(*whole));
      known_.emplace_back(name);
      return;
    }
    take(name, value, "a number");
  }
  void config(std::string_view name, std::string& value) override { take(name, value, "a text"); }
  void config(std::string_view name, std::vector<std::int64_t>& value) override {
    take(name, value, "a list of whole numbers");
  }
  void child(std::string_view, Visitable&) override {}
  void part(std::string_view, Visitable&) override {}

  void check_all_known() const {
    for (const auto& [key, value] : spec_.config) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      fail(ErrorCode::bad_data, "{}: unknown configuration key \"{}\"; there are {}", label(spec_),
           key, choices(key, known_));
    }
  }

 private:
  template <class T>
  void take(std::string_view name, T& value, const char* expected) {
    known_.emplace_back(name);
    const ConfigValue* const found = spec_.find(name);
    if (found == nullptr) {
      fail(ErrorCode::bad_data, "{}: configuration key \"{}\" is missing", label(spec_), name);
    }
    const T* const typed = std::get_if<T>(found);
    if (typed == nullptr) {
      fail(ErrorCode::bad_data, "{}: configuration key \"{}\" must be {}", label(spec_), name,
           expected);
    }
    value = *typed;
  }

  const LayerSpec& spec_;
  std::vector<std::string> known_;
};

template <class L, class... Arguments>
LayerFactory configured(Arguments... arguments) {
  return [=](const LayerSpec& spec) -> std::unique_ptr<Layer> {
    auto layer = std::make_unique<L>(arguments...);
    apply_config(spec, *layer);
    return layer;
  };
}

// "0,3"
std::vector<NodeId> parse_inputs(const LayerSpec& spec, const std::string& role) {
  std::vector<NodeId> inputs;
  const char* const end = role.data() + role.size();
  for (const char* at = role.data(); at < end; ++at) {
    NodeId id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || (next != end && *next != ',')) {
      fail(ErrorCode::bad_data, "{}: \"{}\" is not a list of input nodes such as \"0,3\"",
           label(spec), role);
    }
    inputs.push_back(id);
    at = next;
  }
  return inputs;
}

void add_children(const LayerSpec& spec, Graph& model) {
  for (const auto& [role, child] : spec.children) {
    model.add(make_layer(child), parse_inputs(spec, role));
  }
}

void add_children(const LayerSpec& spec, Sequential& model) {
  for (const auto& [role, child] : spec.children) {
    const NodeId previous = static_cast<NodeId>(model.nodes().size()) - 1;
    if (parse_inputs(spec, role) != std::vector{previous}) {
      fail(ErrorCode::bad_data, "{}: layer {} of a Sequential must follow node {}, not \"{}\"",
           label(spec), label(child), previous, role);
    }
    model.add(make_layer(child));
  }
}

template <class M>
std::unique_ptr<Layer> make_model_of(const LayerSpec& spec) {
  auto model = std::make_unique<M>();
  add_children(spec, *model);
  apply_config(spec, *model);
  return model;
}

std::map<std::string, LayerFactory>& registry() {
  static std::map<std::string, LayerFactory> factories{
      {"Activation", configured<Activation>("linear")},
      {"Add", configured<Add>()},
      {"AveragePooling2D", configured<AveragePooling2D>()},
      {"BatchNormalization", configured<BatchNorm>()},
      {"Concatenate", configured<Concatenate>()},
      {"Conv2D", configured<Conv2D>(1, 1)},
      {"Dense", configured<Dense>(1)},
      {"DepthwiseConv2D", configured<DepthwiseConv2D>(1)},
      {"Dropout", configured<Dropout>(0.0f)},
      {"Flatten", configured<Flatten>()},
      {"GlobalAveragePooling2D", configured<GlobalAveragePooling2D>()},
      {"Graph", make_model_of<Graph>},
      {"LeakyReLU", configured<LeakyReLU>()},
      {"MaxPooling2D", configured<MaxPooling2D>()},
      {"Multiply", configured<Multiply>()},
      {"ReLU", configured<ReLU>()},
      {"Reshape", configured<Reshape>(std::vector<std::int64_t>{-1})},
      {"Sequential", make_model_of<Sequential>},
      {"Softmax", configured<Softmax>()},
      {"ZeroPadding2D", configured<ZeroPadding2D>(0)},
  };
  return factories;
}

}  // namespace

const ConfigValue* LayerSpec::find(std::string_view key) const {
  for (const auto& [held, value] : config) {
    if (held == key) return &value;
  }
  return nullptr;
}

LayerSpec describe(Layer& layer) {
  LayerSpec spec{.kind = layer.kind(), .name = layer.name(), .trainable = layer.trainable()};
  read_config(layer, spec);
  return spec;
}

std::unique_ptr<Layer> make_layer(const LayerSpec& spec) {
  const auto factory = registry().find(spec.kind);
  if (factory == registry().end()) {
    fail(ErrorCode::bad_data, "{}: unknown kind of layer \"{}\"; there are {}", label(spec),
         spec.kind, choices(spec.kind, layer_kinds()));
  }
  std::unique_ptr<Layer> layer = factory->second(spec);
  layer->set_name(spec.name);
  layer->set_trainable(spec.trainable);
  return layer;
}

void apply_config(const LayerSpec& spec, Visitable& target) {
  ConfigWriter writer(spec);
  target.visit(writer);
  writer.check_all_known();
}

void read_config(Visitable& source, LayerSpec& spec) {
  SpecReader reader(spec);
  source.visit(reader);
}

void register_layer(const std::string& kind, LayerFactory factory) {
  registry().insert_or_assign(kind, std::move(factory));
}

std::vector<std::string> layer_kinds() {
  std::vector<std::string> kinds;
  for (const auto& [kind, factory] : registry()) kinds.push_back(kind);
  return kinds;
}

std::unique_ptr<Model> clone_model(Model& model) {
  std::unique_ptr<Layer> layer = make_layer(describe(model));
  std::unique_ptr<Model> copy(&dynamic_cast<Model&>(*layer.release()));
  if (model.built()) {
    copy->build(model.input_shape());
    copy_state(model, *copy);
  }
  return copy;
}

}  // namespace perch
