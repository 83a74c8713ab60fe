#include <catch2/catch.hpp>

#include <perch/core/error.h>

using namespace perch;

TEST_CASE("an error is one line without control characters") {
  const Error error(ErrorCode::bad_data, std::string("a\nb\t\x1b[31m\x7f") + '\0' + "é\xc2\x9b");
  CHECK(error.what() == std::string("a\\nb\\x09\\x1b[31m\\x7f\\x00é\\u009b"));
}
