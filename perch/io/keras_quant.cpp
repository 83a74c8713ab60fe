#include <map>
#include <utility>
#include <vector>

#include <perch/core/check.h>
#include <perch/io/keras_quant.h>
#include <perch/io/tensorflow_limits.h>
#include <perch/quant/apply.h>

namespace perch::io {

namespace {

const char* const aware_module =
    "tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation";

const std::map<std::string, std::string> python_classes{{"all_values", "AllValues"},
                                                        {"last_value", "LastValue"},
                                                        {"moving_average", "MovingAverage"},
                                                        {"fixed", "Fixed"}};

// With a range that tfmot or python/perch_keras.py tracks.
bool tensorflow_has(const Quantizer& quantizer) {
  return unknown_to_tensorflow(quantizer).empty();
}

// Whether tfmot's own class, which knows one range per tensor, is enough. Its FixedQuantizer has no
// variables and always 8 bits.
bool tfmot_has(const Quantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  const auto* const average = std::get_if<MovingAverage>(&spec.range);
  return tensorflow_has(quantizer) && spec.granularity.kind == Granularity::Kind::tensor &&
         !std::holds_alternative<Fixed>(spec.range) &&
         (average == nullptr || *average == MovingAverage{});
}

// A class of tfmot's or else of perch_keras.py's and its settings; where neither has one, perch's
// name, so that nothing else is loaded in its place.
Json quantizer_to_keras(const Quantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  const std::string name = policy_name(spec.range);
  if (!tensorflow_has(quantizer)) return {{"class_name", name}, {"config", Json::object()}};
  Json settings{{"num_bits", spec.bits}};
  if (const auto* const fixed = std::get_if<Fixed>(&spec.range)) {
    settings.update({{"init_min", fixed->min}, {"init_max", fixed->max}});
  } else {
    settings["symmetric"] = spec.symmetric;
  }
  settings["narrow_range"] = spec.narrow_range;
  if (tfmot_has(quantizer)) {
    settings["per_axis"] = false;
    return {{"class_name", python_classes.at(name) + "Quantizer"}, {"config", std::move(settings)}};
  }
  if (const auto* const average = std::get_if<MovingAverage>(&spec.range)) {
    settings["decay"] = average->decay;
  }
  settings["axes"] = quantizer.axes();
  return {{"class_name", python_classes.at(name)}, {"config", std::move(settings)}};
}

// Everything that the wrapper quantizes, for perch_keras.py.
Json perch_settings(const QuantizeWrapper& wrapper) {
  Json settings{{"weights", Json::object()}};
  for (const std::string& prefix : wrapper.quantizer_order()) {
    const Json quantizer = quantizer_to_keras(*wrapper.quantizers().at(prefix));
    if (wrapper.config().weights.contains(prefix)) {
      settings["weights"][prefix] = quantizer;
    } else {
      settings[prefix == "output" ? "output" : "activation"] = quantizer;
    }
  }
  if (wrapper.config().integer_bias) settings["integer_bias"] = true;
  return settings;
}

Json quantize_config_to_keras(const QuantizeConfig& config, const std::string& kind) {
  if (!config.weights.empty() || config.activation) {
    const bool depthwise = kind == "DepthwiseConv2D";
    return {{"class_name", depthwise ? "DepthwiseQuantizer" : "ConvQuantizer"},
            {"config", Json::object()}};
  }
  if (!config.output) return {{"class_name", "NoOpQuantizeConfig"}, {"config", Json::object()}};
  const Json inner{{"class_name", "Default8BitQuantizeConfig"},
                   {"config",
                    {{"weight_attrs", Json::array()},
                     {"activation_attrs", Json::array()},
                     {"quantize_output", true}}},
                   {"__passive_serialization__", true}};
  return {{"class_name", "OutputOnlyConfig"}, {"config", {{"quantize_config", inner}}}};
}

// Keras passes over what stands beside a class and its settings.
Json quantize_config_to_keras(const QuantizeWrapper& wrapper, const std::string& kind) {
  Json result = quantize_config_to_keras(wrapper.config(), kind);
  if (!wrapper.quantizers().empty()) result["perch"] = perch_settings(wrapper);
  return result;
}

// tfmot's own quantizers, with the settings its configuration classes give them.
QuantSpec default_weights(int bits, bool per_axis) {
  return {.bits = bits,
          .granularity = per_axis ? per_axes({-1}) : per_tensor,
          .symmetric = true,
          .narrow_range = true,
          .range = LastValue{}};
}

QuantSpec default_outputs(int bits) {
  return {.bits = bits, .range = MovingAverage{}};
}

bool lists_something(const Json& config, const char* key) {
  return config.contains(key) && config[key].is_array() && !config[key].empty();
}

// A quantizer of tfmot's or perch_keras.py's.
QuantSpec quantizer_from_keras(const Json& json, const std::string& where) {
  const std::string class_name = required_text(json, "class_name", where);
  const Json& settings = required(json, "config", where);
  QuantSpec spec;
  if (class_name == "AllValuesQuantizer" || class_name == "AllValues") {
    spec.range = AllValues{};
  } else if (class_name == "LastValueQuantizer" || class_name == "LastValue") {
    spec.range = LastValue{};
  } else if (class_name == "MovingAverageQuantizer" || class_name == "MovingAverage") {
    spec.range = MovingAverage{.decay = settings.value("decay", MovingAverage{}.decay)};
  } else if (class_name == "Fixed") {
    spec.range = Fixed{settings.value("init_min", -6.0f), settings.value("init_max", 6.0f)};
  } else {
    fail(ErrorCode::bad_data, "{}: unknown quantizer class {}", where, class_name);
  }
  spec.bits = settings.value("num_bits", 8);
  spec.symmetric = settings.value("symmetric", false);
  spec.narrow_range = settings.value("narrow_range", false);
  if (lists_something(settings, "axes")) {
    spec.granularity = per_axes(settings["axes"].get<std::vector<int>>());
  }
  return spec;
}

// What perch_keras.py's configurations say in a file that Keras wrote; others do not say it.
std::optional<QuantizeConfig> config_of_perch_keras(const Json& json, const std::string& where) {
  const Json& settings = required(json, "config", where);
  if (!settings.is_object() || !settings.contains("weights") || !settings["weights"].is_object()) {
    return std::nullopt;
  }
  QuantizeConfig config;
  for (const auto& [name, quantizer] : settings["weights"].items()) {
    config.weights[name] = quantizer_from_keras(quantizer, where);
  }
  const auto optional = [&](const char* key) -> std::optional<QuantSpec> {
    if (!settings.contains(key) || settings[key].is_null()) return std::nullopt;
    return quantizer_from_keras(settings[key], where);
  };
  config.activation = optional("activation");
  config.output = optional("output");
  return config;
}

// An Activation layer's output has a quantizer of tfmot's behind these functions only.
bool quantizes_activation(const std::string& activation) {
  return activation == "relu" || activation == "relu6";
}

// The configurations that tfmot makes by itself: they say everything by their class and settings.
// `activation`: the layer's.
std::optional<QuantizeConfig> config_of_tfmot(const Json& json, const std::string& activation,
                                              const QuantReader& reader) {
  const std::string name = required_text(json, "class_name", reader.where);
  const Json& settings = required(json, "config", reader.where);
  if (name == "NoOpQuantizeConfig") return QuantizeConfig{};
  if (name == "OutputOnlyConfig") {
    const auto inner =
        config_of_tfmot(required(settings, "quantize_config", reader.where), activation, reader);
    if (!inner) return std::nullopt;
    return QuantizeConfig{.output = inner->output};
  }
  const bool n_bit = name.starts_with("DefaultNBit");
  if (!n_bit && !name.starts_with("Default8Bit")) return std::nullopt;
  const int weight_bits = settings.value("num_bits_weight", 8);
  const int activation_bits = settings.value("num_bits_activation", 8);
  const bool per_axis = name.find("ConvQuantizeConfig") != std::string::npos;
  QuantizeConfig config;
  if (lists_something(settings, "weight_attrs")) {
    config.weights["kernel"] = default_weights(weight_bits, per_axis);
  }
  if (lists_something(settings, "activation_attrs")) {
    config.activation = default_outputs(activation_bits);
  }
  // The n-bit scheme's classes for outputs and Activations have no setting for it.
  const bool of_activation = name.ends_with("BitActivationQuantizeConfig");
  const bool of_output = of_activation || name.ends_with("BitOutputQuantizeConfig");
  if (settings.value("quantize_output", n_bit && of_output) &&
      (!of_activation || quantizes_activation(activation))) {
    config.output = default_outputs(activation_bits);
  }
  return config;
}

// The options' key is a layer's name, with or without the wrapper's prefix, or a class's.
const QuantizeConfig* config_of_options(const LoadOptions& options, const std::string& class_name,
                                        const std::string& wrapper, const std::string& layer) {
  for (const std::string& key : {wrapper, layer, class_name}) {
    const auto found = options.quantize_configs.find(key);
    if (found != options.quantize_configs.end()) return &found->second;
  }
  return nullptr;
}

// Stock tfmot takes a depthwise kernel's last axis, the multiplier, for its channels.
void fit_granularity(QuantSpec& spec, const std::string& kind, const std::string& weight,
                     const FileLayer& stored) {
  const FileWeight* const range = stored.find(weight + "_min");
  const FileWeight* const kernel = stored.find(weight);
  if (kind != "DepthwiseConv2D" || range == nullptr || kernel == nullptr) return;
  if (spec.granularity.kind != Granularity::Kind::channel) return;
  const Shape kernel_shape = stored.dataset(*kernel).shape();
  const Shape range_shape = stored.dataset(*range).shape();
  if (kernel_shape.rank() == 4 && range_shape == Shape{kernel_shape[3]} && kernel_shape[2] > 1) {
    spec.granularity = per_axes({3});
  }
}

QuantizeConfig resolve_config(const Json& json, const LayerSpec& inner, const std::string& wrapper,
                              const FileLayer& stored, const QuantReader& reader) {
  const std::string class_name = required_text(json, "class_name", reader.where);
  QuantizeConfig config;
  if (const auto* given = config_of_options(reader.options, class_name, wrapper, inner.name)) {
    config = *given;
    for (auto& [weight, spec] : config.weights) {
      fit_granularity(spec, inner.kind, weight == "kernel" ? main_weight(inner.kind) : weight,
                      stored);
    }
    return config;
  }
  if (auto told = config_of_perch_keras(json, reader.where)) return *told;
  const ConfigValue* const setting = inner.find("activation");
  const auto* const activation = setting ? std::get_if<std::string>(setting) : nullptr;
  auto known = config_of_tfmot(json, activation ? *activation : "linear", reader);
  if (!known) {
    fail(ErrorCode::bad_data,
         "{}: {} is quantized by the class {}, and the file does not say its bits and ranges: give "
         "them with --quantizer, --weight-bits, --activation-bits, --per-channel or --per-tensor, "
         "--symmetric or --asymmetric, --narrow-range or --full-range (in C++: "
         "LoadOptions::quantize_configs[\"{}\"])",
         reader.where, wrapper, class_name, class_name);
  }
  // tfmot switches an activation's quantizer off where a layer behind quantizes the output.
  if (stored.find("post_activation_min") == nullptr &&
      stored.find("pre_activation_min") == nullptr) {
    known->activation.reset();
  }
  // The n-bit scheme does so to outputs that a Concatenate joins; its files say the opposite.
  if (stored.find("output_min") == nullptr) known->output.reset();
  return *known;
}

// {"class_name": "QuantizeAwareActivation", "config": {"activation": "relu"}} -> "relu".
void unwrap_activation(Json& config) {
  while (config.contains("activation") && config["activation"].is_object()) {
    const Json& wrapped = config["activation"];
    const std::string name = wrapped.value("class_name", "");
    Json plain = "linear";
    if (name == "QuantizeAwareActivation" && wrapped.contains("config")) {
      plain = wrapped["config"].value("activation", Json("linear"));
    } else if (name != "NoOpActivation") {
      plain = name;
    }
    config["activation"] = plain;
  }
}

}  // namespace

Json wrapper_to_keras(QuantizeWrapper& wrapper, const Shape& input) {
  const LayerSpec spec = describe(wrapper.layer());
  Json inner = keras_config(spec, input);
  if (wrapper.config().activation) {
    inner["activation"] = {{"module", aware_module},
                           {"class_name", "QuantizeAwareActivation"},
                           {"config", {{"activation", inner["activation"]}}},
                           {"registered_name", "QuantizeAwareActivation"}};
  }
  const Json layer{{"module", "keras.layers"},
                   {"class_name", spec.kind},
                   {"config", std::move(inner)},
                   {"registered_name", nullptr},
                   {"build_config", {{"input_shape", shape_to_keras(input)}}}};
  return {{"class_name", "QuantizeWrapperV2"},
          {"config",
           {{"name", wrapper.name()},
            {"trainable", wrapper.trainable()},
            {"dtype", "float32"},
            {"layer", layer},
            {"quantize_config", quantize_config_to_keras(wrapper, spec.kind)}}}};
}

Json quantize_layer_to_keras(QuantizeLayer& layer) {
  return {{"class_name", "QuantizeLayer"},
          {"config",
           {{"name", layer.name()},
            {"trainable", layer.trainable()},
            {"dtype", "float32"},
            {"quantizer", quantizer_to_keras(layer.quantizer())}}}};
}

bool is_wrapper_class(const std::string& class_name) {
  return class_name == "QuantizeWrapperV2" || class_name == "QuantizeWrapper";
}

std::unique_ptr<Layer> wrapper_from_keras(const Json& config, const FileLayer& stored,
                                          const QuantReader& reader) {
  const std::string name = required_text(config, "name", reader.where);
  const Json& layer = required(config, "layer", reader.where);
  Json settings = required(layer, "config", reader.where);
  unwrap_activation(settings);
  const LayerSpec inner =
      spec_from_keras(required_text(layer, "class_name", reader.where), settings, reader.where);
  const Json& quantize_config = required(config, "quantize_config", reader.where);
  auto wrapper = std::make_unique<QuantizeWrapper>(
      make_layer(inner), resolve_config(quantize_config, inner, name, stored, reader));
  wrapper->set_name(name);
  wrapper->set_trainable(config.value("trainable", true));
  return wrapper;
}

std::unique_ptr<Layer> quantize_layer_from_keras(const Json& config, const QuantReader& reader) {
  const std::string name = required_text(config, "name", reader.where);
  const std::string where = reader.where + ": " + name;
  auto layer = std::make_unique<QuantizeLayer>(
      quantizer_from_keras(required(config, "quantizer", where), where));
  layer->set_name(name);
  layer->set_trainable(config.value("trainable", true));
  return layer;
}

}  // namespace perch::io
