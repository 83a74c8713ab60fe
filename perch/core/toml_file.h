// TOML files by way of toml++, for the rooms that read them. For sources, not for public headers.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>

#include <perch/core/check.h>

namespace perch {
struct TomlAssertion {};
}  // namespace perch

// toml++ 3.3 asserts what malformed files break ("[[:"), and without assertions reads on
// from where it must not (tomlplusplus, issue 294). As exceptions they refuse the file.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : throw ::perch::TomlAssertion())
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace perch {

/// Throws Error(missing_input) for a file that is not there, Error(bad_data) naming file and line
/// for what is not TOML.
inline toml::table read_toml(const std::filesystem::path& file) {
  std::ifstream input(file, std::ios::binary);
  if (!input) {
    fail(ErrorCode::missing_input, "cannot read {}; give an existing file", file.string());
  }
  std::ostringstream text;
  text << input.rdbuf();
  try {
    return toml::parse(text.str(), file.string());
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::bad_data, "{}, line {}: {}", file.string(), error.source().begin.line,
         error.description());
  } catch (const TomlAssertion&) {
    fail(ErrorCode::bad_data, "{}: is not TOML; a key or a table's name is malformed",
         file.string());
  }
}

}  // namespace perch
