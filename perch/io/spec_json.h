// LayerSpec as JSON, the heart of the attribute perch_config. Internal to io.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include <perch/layers/spec.h>

namespace perch::io {

using Json = nlohmann::ordered_json;

/// Parses; throws Error(bad_data) beginning with `where` for malformed text, and for deeply nested
/// text, since copying and printing JSON is recursive.
Json parse_json(const std::string& text, const std::string& where);

/// One configuration value. Numbers keep their type and bits. value_from_json throws
/// Error(bad_data) beginning with `where`.
Json value_to_json(const ConfigValue& value);
ConfigValue value_from_json(const Json& json, const std::string& where);

/// {"kind", "name", "trainable", "config": {...}, "children": [{"role", "layer"}]}.
/// Order is kept.
Json spec_to_json(const LayerSpec& spec);
/// The inverse. Throws Error(bad_data) beginning with `where` for anything of another form.
LayerSpec spec_from_json(const Json& json, const std::string& where);

}  // namespace perch::io
