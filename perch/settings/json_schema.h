// A configuration's schema as JSON Schema, by which editors complete and check.
#pragma once

#include <string>

#include <perch/settings/config_file.h>

namespace perch {

/// JSON Schema, draft 7 (the draft that editors' TOML plug-ins read), indented.
std::string json_schema(const ConfigSchema& schema, const std::string& title);

}  // namespace perch
