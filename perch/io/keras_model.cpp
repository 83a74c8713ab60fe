#include <algorithm>
#include <set>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/keras_calls.h>
#include <perch/io/keras_model.h>
#include <perch/io/keras_order.h>

namespace perch::io {

namespace {

std::vector<Shape> input_shapes(const Model& model, const Model::Node& node) {
  std::vector<Shape> shapes;
  for (const NodeId id : node.inputs) {
    shapes.push_back(id == Model::input ? model.input_shape()
                                        : model.node_shapes()[static_cast<std::size_t>(id)]);
  }
  return shapes;
}

Json layer_to_keras(Layer& layer, const Shape& input) {
  if (auto* wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
    return wrapper_to_keras(*wrapper, input);
  }
  if (auto* quantize = dynamic_cast<QuantizeLayer*>(&layer)) {
    return quantize_layer_to_keras(*quantize);
  }
  if (auto* model = dynamic_cast<Model*>(&layer)) return model_to_keras(*model).config;
  const LayerSpec spec = describe(layer);
  return {{"class_name", spec.kind}, {"config", keras_config(spec, input)}};
}

Json input_layer(const std::string& name, const Shape& shape) {
  return {{"class_name", "InputLayer"},
          {"config",
           {{"batch_input_shape", shape_to_keras(shape)},
            {"dtype", "float32"},
            {"sparse", false},
            {"ragged", false},
            {"name", name}}}};
}

// Keras names a Sequential's input after its first layer.
std::string sequential_input_name(const Model& model) {
  for (const Model::Node& node : model.nodes()) {
    if (dynamic_cast<QuantizeLayer*>(node.layer.get()) != nullptr) continue;
    auto* wrapper = dynamic_cast<QuantizeWrapper*>(node.layer.get());
    return (wrapper != nullptr ? weighted_layer(wrapper->layer()).name() : node.layer->name()) +
           "_input";
  }
  return "input_1";
}

const Layer* node_layer(const Model& model, NodeId id) {
  return model.nodes()[static_cast<std::size_t>(id)].layer.get();
}

std::string unused_name(const Model& model, const std::string& stem) {
  for (int i = 1;; ++i) {
    const std::string name = stem + std::to_string(i);
    const bool taken = std::ranges::any_of(
        model.nodes(), [&](const Model::Node& node) { return node.layer->name() == name; });
    if (!taken) return name;
  }
}

KerasModel sequential_to_keras(Model& model) {
  KerasModel result;
  Json layers = Json::array({input_layer(sequential_input_name(model), model.input_shape())});
  for (const Model::Node& node : model.nodes()) {
    layers.push_back(layer_to_keras(*node.layer, input_shapes(model, node).front()));
    result.layer_names.push_back(node.layer->name());
  }
  result.config = {{"class_name", "Sequential"},
                   {"config", {{"name", model.name()}, {"layers", std::move(layers)}}}};
  return result;
}

KerasModel functional_to_keras(Model& model) {
  const std::string input_name = unused_name(model, "input_");
  const auto name_of = [&](NodeId id) {
    return id == Model::input ? input_name : node_layer(model, id)->name();
  };
  const auto call_number = [&](NodeId id) {
    return only_call(id != Model::input && dynamic_cast<const Model*>(node_layer(model, id)));
  };
  KerasModel result;
  result.layer_names = {input_name};
  Json input = input_layer(input_name, model.input_shape());
  input["name"] = input_name;
  input["inbound_nodes"] = Json::array();
  Json layers = Json::array({std::move(input)});
  for (const Model::Node& node : model.nodes()) {
    Json layer = layer_to_keras(*node.layer, input_shapes(model, node).front());
    Json inbound = Json::array();
    for (const NodeId id : node.inputs) {
      inbound.push_back(Json::array({name_of(id), call_number(id), 0, Json::object()}));
    }
    layer["name"] = node.layer->name();
    layer["inbound_nodes"] = Json::array({std::move(inbound)});
    layers.push_back(std::move(layer));
  }
  for (const NodeId id : keras_order(model)) result.layer_names.push_back(name_of(id));
  result.config = {
      {"class_name", "Functional"},
      {"config",
       {{"name", model.name()},
        {"trainable", model.trainable()},
        {"layers", std::move(layers)},
        {"input_layers", Json::array({Json::array({input_name, 0, 0})})},
        {"output_layers",
         Json::array({Json::array({name_of(model.output()), call_number(model.output()), 0})})}}}};
  return result;
}

bool is_model_class(const std::string& class_name) {
  return class_name == "Sequential" || class_name == "Functional" || class_name == "Model";
}

// How a class of Keras is read.
enum class Kind { model, wrapper, quantize_layer, input, plain };

Kind kind_of(const std::string& class_name) {
  if (is_model_class(class_name)) return Kind::model;
  if (is_wrapper_class(class_name)) return Kind::wrapper;
  if (class_name == "QuantizeLayer") return Kind::quantize_layer;
  if (class_name == "InputLayer") return Kind::input;
  return Kind::plain;
}

class ModelReader {
 public:
  ModelReader(const std::vector<FileLayer>& layers, const QuantReader& reader)
      : layers_(layers), reader_(reader) {}

  Skeleton read(const Json& model) {
    const std::string class_name = required_text(model, "class_name", reader_.where);
    const Json& config = required(model, "config", reader_.where);
    if (class_name == "Sequential") return sequential(config);
    if (is_model_class(class_name)) return functional(config);
    fail(ErrorCode::bad_data,
         "{}: a model of class {} cannot be read; save it as Sequential or "
         "Functional",
         reader_.where, class_name);
  }

 private:
  // A layer of a Functional model that is still to be added.
  struct Waiting {
    const Json* json;
    std::string name;
    KerasCall call;
  };

  // The shape that a Sequential takes may stand in its InputLayer, its own or its first layer's
  // configuration.
  static const Json* declared_input(const Json& config) {
    for (const char* key : {"batch_input_shape", "batch_shape", "build_input_shape"}) {
      if (config.contains(key)) return &config[key];
    }
    if (config.contains("layer")) return declared_input(config["layer"].at("config"));
    return nullptr;
  }

  // What the file has of a wrapper.
  FileLayer stored(const std::string& name) const {
    if (depth_ > 0) {
      const auto found = in_group_.find(name);
      return found == in_group_.end() ? FileLayer() : found->second;
    }
    const auto found = std::ranges::find(layers_, name, &FileLayer::name);
    return found == layers_.end() ? FileLayer() : *found;
  }

  std::unique_ptr<Layer> nested_model(const Json& json, const Json& config) {
    if (depth_ == 0) {
      in_group_ = stored(required_text(config, "name", reader_.where)).by_owner();
    }
    std::map<const Layer*, Json> norms = std::exchange(norms_, {});
    ++depth_;
    Skeleton nested = read(json);
    --depth_;
    norms_ = std::move(norms);
    norms_.merge(nested.norms);
    nested.model->set_trainable(config.value("trainable", true));
    return std::move(nested.model);
  }

  std::unique_ptr<Layer> layer(const Json& json) {
    const std::string class_name = required_text(json, "class_name", reader_.where);
    const Json& config = required(json, "config", reader_.where);
    const Kind kind = kind_of(class_name);
    if (kind == Kind::wrapper) {
      return wrapper_from_keras(config, stored(required_text(config, "name", reader_.where)),
                                reader_);
    }
    if (kind == Kind::quantize_layer) return quantize_layer_from_keras(config, reader_);
    if (kind == Kind::model) return nested_model(json, config);
    auto plain = make_layer(spec_from_keras(class_name, config, reader_.where));
    if (class_name == "BatchNormalization") norms_.emplace(plain.get(), config);
    return plain;
  }

  // A model in another one gets its shape from what feeds it; it may not say any.
  Shape input_shape(const Json* declared) const {
    if (depth_ > 0) return {};
    if (declared == nullptr) {
      fail(
          ErrorCode::bad_data,
          "{}: the model's input shape is missing: it was saved unbuilt; call it once, or give the "
          "first layer an input_shape, and save it again",
          reader_.where);
    }
    return shape_from_keras(*declared, reader_.where);
  }

  Skeleton sequential(const Json& config) {
    auto model = std::make_unique<Sequential>();
    const Json* shape = declared_input(config);
    for (const Json& json : required(config, "layers", reader_.where)) {
      const Json& layer_config = required(json, "config", reader_.where);
      if (shape == nullptr) shape = declared_input(layer_config);
      if (kind_of(required_text(json, "class_name", reader_.where)) == Kind::input) {
        check_input_layer(layer_config, reader_.where);
        continue;
      }
      model->add(layer(json));
    }
    model->set_name(config.value("name", ""));
    return {std::move(model), input_shape(shape), std::move(norms_)};
  }

  // [["dense", 0, 0]] or, in later versions, ["dense", 0, 0].
  std::string only_end(const Json& config, const char* key) const {
    const Json* ends = &required(config, key, reader_.where);
    if (ends->is_array() && ends->size() == 1) ends = &(*ends)[0];
    if (!ends->is_array() || ends->size() != 3 || !(*ends)[0].is_string()) {
      fail(ErrorCode::bad_data,
           "{}: {} must name one layer; perch's models have one input and one "
           "output",
           reader_.where, key);
    }
    return (*ends)[0].get<std::string>();
  }

  // Before how it is called, which other classes have in other ways.
  void check_class(const Json& json, const std::string& name) const {
    const std::string class_name = required_text(json, "class_name", reader_.where);
    if (kind_of(class_name) == Kind::plain) check_layer_class(class_name, name, reader_.where);
  }

  // An InputLayer's declared shape.
  Shape read_input(const Json& json) const {
    const Json& config = required(json, "config", reader_.where);
    check_input_layer(config, reader_.where);
    return input_shape(declared_input(config));
  }

  std::unique_ptr<Layer> called_layer(const Json& json, const KerasCall& call) {
    auto result = layer(json);
    if (call.inference) hold_in_inference(*result, reader_.where);
    return result;
  }

  Skeleton functional(const Json& config) {
    auto model = std::make_unique<Graph>();
    Shape shape;
    std::map<std::string, NodeId> ids;
    const std::string input_name = only_end(config, "input_layers");
    const std::string output_name = only_end(config, "output_layers");
    const Json& layers = required(config, "layers", reader_.where);
    std::set<std::string> models;
    for (const Json& json : layers) {
      if (is_model_class(required_text(json, "class_name", reader_.where))) {
        models.insert(required_text(json, "name", reader_.where));
      }
    }
    std::vector<Waiting> waiting;
    for (const Json& json : layers) {
      const std::string name = required_text(json, "name", reader_.where);
      check_class(json, name);
      waiting.push_back({&json, name, call_of(json, name, models, reader_.where)});
    }
    // Keras lists layers by depth, but any order is allowed: repeat until nothing moves.
    for (std::size_t before = 0; before != waiting.size();) {
      before = waiting.size();
      std::erase_if(waiting, [&](const Waiting& next) {
        if (next.call.sources.empty() && next.name == input_name) {
          shape = read_input(*next.json);
          return ids.emplace(next.name, Model::input).second;
        }
        std::vector<NodeId> inputs;
        for (const std::string& source : next.call.sources) {
          const auto id = ids.find(source);
          if (id == ids.end()) return false;
          inputs.push_back(id->second);
        }
        return !inputs.empty() &&
               ids.emplace(next.name, model->add(called_layer(*next.json, next.call), inputs))
                   .second;
      });
    }
    if (!waiting.empty()) {
      fail(ErrorCode::bad_data, "{}: layer {} has no input that is fed by {}", reader_.where,
           waiting.front().name, input_name);
    }
    const auto output = ids.find(output_name);
    if (output == ids.end() || output->second == Model::input) {
      fail(ErrorCode::bad_data, "{}: the model's output layer is missing", reader_.where);
    }
    model->set_output(output->second);
    model->set_name(config.value("name", ""));
    return {std::move(model), shape, std::move(norms_)};
  }

  const std::vector<FileLayer>& layers_;
  const QuantReader& reader_;
  std::map<const Layer*, Json> norms_;
  int depth_ = 0;                              // of the model that is being read
  std::map<std::string, FileLayer> in_group_;  // of the model in the model that is being read
};

}  // namespace

KerasModel model_to_keras(Model& model) {
  return dynamic_cast<Sequential*>(&model) != nullptr ? sequential_to_keras(model)
                                                      : functional_to_keras(model);
}

Skeleton model_from_keras(const Json& model_config, const std::vector<FileLayer>& layers,
                          const QuantReader& reader) {
  return ModelReader(layers, reader).read(model_config);
}

}  // namespace perch::io
