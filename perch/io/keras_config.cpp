#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <vector>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/io/keras_config.h>

namespace perch::io {

namespace {

// What Keras's configuration of a kind has: settings under the name that perch has for them too,
// and constants, which a reader insists on where they are meaningful.
struct KerasKind {
  std::vector<std::string> settings;
  Json constants = Json::object();
  /// Settings that older versions of Keras do not write.
  Json defaults = Json::object();
  /// Settings of perch's that Keras does not know, with what they are in its files.
  std::vector<std::pair<std::string, ConfigValue>> own = {};
};

Json initializer(const char* name) {
  const Json config =
      std::string_view(name) == "GlorotUniform" ? Json{{"seed", nullptr}} : Json::object();
  return {{"module", "keras.initializers"},
          {"class_name", name},
          {"config", config},
          {"registered_name", nullptr}};
}

Json weight_constants(const std::string& weight, const char* initial) {
  return {{weight + "_initializer", initializer(initial)},
          {weight + "_regularizer", nullptr},
          {weight + "_constraint", nullptr}};
}

Json merged(std::initializer_list<Json> parts) {
  Json all = Json::object();
  for (const Json& part : parts) all.update(part);
  return all;
}

std::map<std::string, KerasKind> make_kinds() {
  const Json layout{{"data_format", "channels_last"}};
  const Json activity{{"activity_regularizer", nullptr}};
  const Json bias = weight_constants("bias", "Zeros");
  const Json conv_defaults{{"dilation_rate", {1, 1}}, {"groups", 1}};
  return {
      {"Activation", {{"activation"}}},
      {"Add", {}},
      {"AveragePooling2D", {{"pool_size", "strides", "padding"}, layout}},
      {"BatchNormalization",
       {{"momentum", "epsilon", "center", "scale"},
        merged({Json{{"beta_initializer", initializer("Zeros")},
                     {"gamma_initializer", initializer("Ones")},
                     {"moving_mean_initializer", initializer("Zeros")},
                     {"moving_variance_initializer", initializer("Ones")},
                     {"beta_regularizer", nullptr},
                     {"gamma_regularizer", nullptr},
                     {"beta_constraint", nullptr},
                     {"gamma_constraint", nullptr}}}),
        Json::object(),
        {{"statistics_frozen", false}}}},
      {"Concatenate", {{"axis"}}},
      {"Conv2D",
       {{"filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation",
         "use_bias"},
        merged({layout, weight_constants("kernel", "GlorotUniform"), bias, activity}),
        conv_defaults}},
      {"Dense",
       {{"units", "activation", "use_bias"},
        merged({weight_constants("kernel", "GlorotUniform"), bias, activity})}},
      {"DepthwiseConv2D",
       {{"kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier", "activation",
         "use_bias"},
        merged({layout, Json{{"groups", 1}}, weight_constants("depthwise", "GlorotUniform"), bias,
                activity}),
        conv_defaults}},
      {"Dropout", {{"rate"}, {{"noise_shape", nullptr}, {"seed", nullptr}}}},
      {"Flatten", {{}, layout}},
      {"GlobalAveragePooling2D", {{}, merged({layout, Json{{"keepdims", false}}})}},
      {"LeakyReLU", {{"alpha"}}},
      {"MaxPooling2D", {{"pool_size", "strides", "padding"}, layout}},
      {"Multiply", {}},
      {"ReLU", {{"max_value", "negative_slope"}, {{"threshold", 0.0}}, {{"negative_slope", 0.0}}}},
      {"Reshape", {{"target_shape"}}},
      {"Softmax", {{}, {{"axis", -1}}}},
      {"ZeroPadding2D", {{"padding"}, layout}},
  };
}

const std::map<std::string, KerasKind>& kinds() {
  static const std::map<std::string, KerasKind> table = make_kinds();
  return table;
}

bool says_nothing(const std::string& key, const Json& value) {
  static constexpr std::array<std::string_view, 5> by_name{"name", "trainable", "seed",
                                                           "batch_input_shape", "batch_shape"};
  static constexpr std::array<std::string_view, 3> by_ending{"_initializer", "_regularizer",
                                                             "_constraint"};
  return std::ranges::find(by_name, key) != by_name.end() || value.is_null() || value == false ||
         std::ranges::any_of(by_ending, [&](std::string_view end) { return key.ends_with(end); });
}

void check_type(const Json& value, const std::string& where) {
  const Json name = value.is_object() && value.contains("config") && value["config"].is_object()
                        ? value["config"].value("name", Json())
                        : value;
  if (name != "float32") {
    fail(ErrorCode::bad_data, "{}: dtype {} is not supported, only float32; save it as that", where,
         name.dump());
  }
}

void check_setting(const KerasKind& kind, const std::string& key, const Json& value,
                   const std::string& where) {
  if (key == "dtype") return check_type(value, where);
  const auto constant = kind.constants.find(key);
  const bool known = constant != kind.constants.end() && *constant == value;
  if (known || says_nothing(key, value)) return;
  fail(ErrorCode::bad_data, "{}: perch does not support {} = {}{}", where, key, value.dump(),
       constant != kind.constants.end() ? ", only " + constant->dump() : "");
}

// Keras nests [[top, bottom], [left, right]].
Json padding_to_keras(const Json& sides) {
  return {{sides[0], sides[1]}, {sides[2], sides[3]}};
}

Json padding_from_keras(const Json& padding, const std::string& where) {
  Json sides = Json::array();
  const bool pairs = padding.is_array() && padding.size() == 2;
  for (std::size_t i = 0; pairs && i < 2; ++i) {
    const Json& pair = padding[i];
    if (pair.is_array() && pair.size() == 2) {
      sides.push_back(pair[0]);
      sides.push_back(pair[1]);
    }
  }
  if (sides.size() != 4) fail(ErrorCode::bad_data, "{}: bad padding {}", where, padding.dump());
  return sides;
}

Json setting_to_keras(const std::string& kind, const std::string& key, const Json& value) {
  if (kind == "ZeroPadding2D") return padding_to_keras(value);
  // 0 stands for "no limit".
  if (kind == "ReLU" && key == "max_value" && value == 0.0) return nullptr;
  return value;
}

Json setting_from_keras(const std::string& kind, const std::string& key, const Json& value,
                        const std::string& where) {
  if (kind == "ZeroPadding2D") return padding_from_keras(value, where);
  if (kind == "ReLU" && key == "max_value" && value.is_null()) return 0.0;
  if (key == "activation" && value.is_object()) {
    fail(ErrorCode::bad_data,
         "{}: perch has no {} with {} as a layer's activation; make it a layer "
         "of its own",
         where, value.value("class_name", "object"), value.value("config", Json::object()).dump());
  }
  return value;
}

}  // namespace

Json keras_config(const LayerSpec& spec, const Shape& input) {
  Json config{{"name", spec.name}, {"trainable", spec.trainable}, {"dtype", "float32"}};
  if (spec.kind == "BatchNormalization") config["axis"] = Json::array({input.rank()});
  for (const auto& [key, value] : spec.config) {
    config[key] = setting_to_keras(spec.kind, key, value_to_json(value));
  }
  const auto kind = kinds().find(spec.kind);
  if (kind == kinds().end()) return config;
  for (const auto& [key, value] : kind->second.own) config.erase(key);
  config.update(kind->second.constants);
  return config;
}

bool is_keras_class(const std::string& class_name) {
  return kinds().contains(class_name);
}

void check_layer_class(const std::string& class_name, const std::string& name,
                       const std::string& where) {
  if (is_keras_class(class_name)) return;
  std::vector<std::string> known;
  for (const auto& [kind, settings] : kinds()) known.push_back(kind);
  fail(ErrorCode::bad_data, "{}: layer {} is of the class {}, which perch has not; it reads {}",
       where, name, class_name, choices(class_name, known));
}

LayerSpec spec_from_keras(const std::string& class_name, const Json& config,
                          const std::string& where) {
  const std::string name = required_text(config, "name", where);
  check_layer_class(class_name, name, where);
  const auto kind = kinds().find(class_name);
  const auto& [settings, constants, defaults, own] = kind->second;
  LayerSpec spec;
  spec.kind = class_name;
  spec.name = name;
  spec.trainable = config.value("trainable", true);
  for (const auto& [key, value] : config.items()) {
    const bool is_axis = class_name == "BatchNormalization" && key == "axis";
    if (is_axis || std::ranges::find(settings, key) != settings.end()) continue;
    check_setting(kind->second, key, value, where + ": " + spec.name);
  }
  for (const std::string& key : settings) {
    const bool absent = !config.contains(key) && defaults.contains(key);
    const Json& value = absent ? defaults[key] : required(config, key.c_str(), where);
    const std::string here = where + ": " + spec.name + "." + key;
    spec.config.emplace_back(
        key, value_from_json(setting_from_keras(class_name, key, value, here), here));
  }
  spec.config.insert(spec.config.end(), own.begin(), own.end());
  return spec;
}

void check_input_layer(const Json& config, const std::string& where) {
  static const KerasKind input;
  const std::string here = where + ": " + required_text(config, "name", where);
  for (const auto& [key, value] : config.items()) check_setting(input, key, value, here);
}

void check_norm_axis(const Json& config, const Shape& input, const std::string& where) {
  Json axis = config.value("axis", Json(-1));
  if (axis.is_array() && axis.size() == 1) axis = Json(axis[0]);
  if (axis != -1 && axis != input.rank()) {
    fail(ErrorCode::bad_data, "{}: normalises axis {} of {}; perch normalises the last one only",
         where, axis.dump(), input.to_string());
  }
}

const Json& required(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key)) {
    fail(ErrorCode::bad_data, "{}: '{}' is missing", where, key);
  }
  return object[key];
}

std::string required_text(const Json& object, const char* key, const std::string& where) {
  const Json& value = required(object, key, where);
  if (!value.is_string()) fail(ErrorCode::bad_data, "{}: '{}' is not a text", where, key);
  return value.get<std::string>();
}

Shape shape_from_keras(const Json& batch_shape, const std::string& where) {
  const bool usable = batch_shape.is_array() && !batch_shape.empty() &&
                      batch_shape.size() <= static_cast<std::size_t>(Shape::max_rank);
  std::vector<std::int64_t> extents;
  std::int64_t elements = 1;
  for (std::size_t i = 1; usable && i < batch_shape.size(); ++i) {
    if (!batch_shape[i].is_number_integer()) break;
    const auto extent = batch_shape[i].get<std::int64_t>();
    if (extent < 1 || extent > max_elements / elements) break;
    elements *= extent;
    extents.push_back(extent);
  }
  if (!usable || extents.size() + 1 != batch_shape.size()) {
    fail(ErrorCode::bad_data,
         "{}: the input shape {} is not usable; perch needs every extent but the batch's to be "
         "given",
         where, batch_shape.dump());
  }
  return Shape(extents);
}

Json shape_to_keras(const Shape& shape) {
  Json extents = Json::array({nullptr});
  for (const std::int64_t extent : shape) extents.push_back(extent);
  return extents;
}

}  // namespace perch::io
