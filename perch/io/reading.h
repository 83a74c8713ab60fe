// What goes wrong while a file is read becomes the file's fault, and names it. For io's sources.
#pragma once

#include <filesystem>
#include <new>
#include <string>

#include <nlohmann/json.hpp>

#include <perch/core/check.h>

namespace perch::io {

/// read(): what the file makes other rooms and libraries complain about is Error(bad_data).
template <class Read>
auto reading(const std::filesystem::path& file, const Read& read) {
  const std::string name = file.string();
  try {
    return read();
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool named = message.starts_with(name);
    const ErrorCode code = error.code() == ErrorCode::usage ? ErrorCode::bad_data : error.code();
    throw Error(code, named ? message : name + ": " + message);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::bad_data, "{}: a part of its JSON has another form than expected: {}", name,
         error.what());
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::bad_data, "{}: asks for more memory than there is", name);
  }
}

}  // namespace perch::io
