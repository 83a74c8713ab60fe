// What an Error says, for tests of bad input.
#pragma once

#include <string>

#include <catch2/catch.hpp>

#include <perch/core/error.h>

namespace perch::test {

/// Calls f, which must throw Error(code), and returns the message, which must be one line.
template <class F>
std::string error_of(ErrorCode code, const F& f) {
  try {
    f();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(static_cast<int>(error.code()) == static_cast<int>(code));
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    return message;
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace perch::test
