// Argument checks with formatted messages. For sources, not for public headers.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/error.h>

namespace perch {

/// Throws Error(code) with an fmt-formatted message.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace perch

/// Throws Error(ErrorCode::usage) with the formatted message unless the condition holds.
#define PERCH_CHECK(condition, ...)                          \
  do {                                                       \
    if (!(condition)) {                                      \
      ::perch::fail(::perch::ErrorCode::usage, __VA_ARGS__); \
    }                                                        \
  } while (false)
