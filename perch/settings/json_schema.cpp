#include <charconv>

#include <nlohmann/json.hpp>

#include <perch/settings/json_schema.h>

namespace perch {
namespace {

using Json = nlohmann::ordered_json;

Json type_of(const SettingKey& key) {
  switch (key.kind) {
    case SettingKind::flag:
      return {{"type", "boolean"}};
    case SettingKind::integer:
      return {{"type", "integer"}};
    case SettingKind::number:
      return {{"type", "number"}};
    case SettingKind::word:
      return {{"type", "string"}, {"enum", key.words}};
    case SettingKind::text:
      break;
  }
  return {{"type", Json::array({"string", "number"})}};
}

/// The default as a value of the key's type.
Json usual_of(const SettingKey& key) {
  const char* const end = key.usual.data() + key.usual.size();
  if (key.kind == SettingKind::flag) return key.usual == "true";
  if (std::int64_t whole = 0; key.kind == SettingKind::integer &&
                              std::from_chars(key.usual.data(), end, whole).ptr == end) {
    return whole;
  }
  if (double number = 0.0; key.kind == SettingKind::number &&
                           std::from_chars(key.usual.data(), end, number).ptr == end) {
    return number;
  }
  return key.usual;
}

Json list_of(const Json& item) {
  return {{"type", "array"}, {"items", item}, {"minItems", 1}};
}

Json schema_of(const SettingKey& key, bool axis) {
  Json schema = type_of(key);
  // Each key that takes several values takes one, too; and so does an axis.
  for (const bool several : {key.count != SettingCount::one, axis}) {
    if (several) schema = {{"anyOf", Json::array({schema, list_of(schema)})}};
  }
  if (!key.description.empty()) schema["description"] = key.description;
  if (!axis && key.count == SettingCount::one && !key.usual.empty()) {
    schema["default"] = usual_of(key);
  }
  return schema;
}

Json properties_of(const ConfigTable& table) {
  Json properties = Json::object();
  for (const SettingKey& key : table.keys) properties[key.name] = schema_of(key, table.axes);
  return properties;
}

}  // namespace

std::string json_schema(const ConfigSchema& schema, const std::string& title) {
  Json root = {{"$schema", "http://json-schema.org/draft-07/schema#"},
               {"title", title},
               {"type", "object"},
               {"properties", properties_of(*find_table(schema, ""))},
               {"additionalProperties", false}};
  for (const ConfigTable& table : schema) {
    if (table.name.empty()) {
      root["description"] = table.description;
      continue;
    }
    root["properties"][table.name] = {{"type", "object"},
                                      {"description", table.description},
                                      {"properties", properties_of(table)},
                                      {"additionalProperties", false}};
  }
  return root.dump(2) + "\n";
}

}  // namespace perch
