#include <cmath>
#include <limits>

#include <perch/core/check.h>
#include <perch/io/spec_json.h>

namespace perch::io {

namespace {

constexpr int max_depth = 64;         // of layers in layers
constexpr int max_json_depth = 1000;  // a layer in a layer is a few levels down

// JSON has no such numbers; they are written as {"float": "inf"}.
Json float_to_json(float value) {
  if (std::isfinite(value)) return value;
  return Json{{"float", std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"}};
}

float special_float(const Json& json, const std::string& where) {
  const std::string text = json.value("float", "");
  if (text == "nan") return std::numeric_limits<float>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<float>::infinity();
  if (text == "-inf") return -std::numeric_limits<float>::infinity();
  fail(ErrorCode::bad_data, "{}: {} is not a configuration value", where, json.dump());
}

const Json& member(const Json& json, const char* key, Json::value_t type,
                   const std::string& where) {
  if (!json.is_object() || !json.contains(key) || json[key].type() != type) {
    fail(ErrorCode::bad_data, "{}: a layer lacks a proper '{}'", where, key);
  }
  return json[key];
}

LayerSpec read_spec(const Json& json, const std::string& where, int depth) {
  if (depth > max_depth) fail(ErrorCode::bad_data, "{}: layers are nested too deeply", where);
  using Type = Json::value_t;
  LayerSpec spec;
  spec.kind = member(json, "kind", Type::string, where).get<std::string>();
  spec.name = member(json, "name", Type::string, where).get<std::string>();
  spec.trainable = member(json, "trainable", Type::boolean, where).get<bool>();
  for (const auto& [key, value] : member(json, "config", Type::object, where).items()) {
    spec.config.emplace_back(key, value_from_json(value, where + ": " + spec.name + "." + key));
  }
  for (const Json& child : member(json, "children", Type::array, where)) {
    spec.children.push_back(
        {member(child, "role", Type::string, where).get<std::string>(),
         read_spec(member(child, "layer", Type::object, where), where, depth + 1)});
  }
  return spec;
}

}  // namespace

Json value_to_json(const ConfigValue& value) {
  return std::visit(
      []<class T>(const T& x) -> Json {
        if constexpr (std::is_same_v<T, float>) {
          return float_to_json(x);
        } else {
          return x;
        }
      },
      value);
}

ConfigValue value_from_json(const Json& json, const std::string& where) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<float>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::object:
      return special_float(json, where);
    case Json::value_t::array: {
      std::vector<std::int64_t> values;
      for (const Json& item : json) {
        if (!item.is_number_integer()) break;
        values.push_back(item.get<std::int64_t>());
      }
      if (values.size() == json.size()) return values;
      break;
    }
    default:
      break;
  }
  fail(ErrorCode::bad_data, "{}: {} is not a configuration value", where, json.dump());
}

Json parse_json(const std::string& text, const std::string& where) {
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_json_depth) fail(ErrorCode::bad_data, "{} is nested too deeply", where);
    return true;
  };
  Json json = Json::parse(text, check_depth, false);
  if (json.is_discarded()) fail(ErrorCode::bad_data, "{} is not valid JSON", where);
  return json;
}

Json spec_to_json(const LayerSpec& spec) {
  Json config = Json::object();
  for (const auto& [key, value] : spec.config) config[key] = value_to_json(value);
  Json children = Json::array();
  for (const auto& [role, child] : spec.children) {
    children.push_back({{"role", role}, {"layer", spec_to_json(child)}});
  }
  return {{"kind", spec.kind},
          {"name", spec.name},
          {"trainable", spec.trainable},
          {"config", std::move(config)},
          {"children", std::move(children)}};
}

LayerSpec spec_from_json(const Json& json, const std::string& where) {
  return read_spec(json, where, 0);
}

}  // namespace perch::io
