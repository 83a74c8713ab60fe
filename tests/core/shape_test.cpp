#include <catch2/catch.hpp>

#include <perch/core/reduce.h>
#include <perch/core/shape.h>

#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("shapes count axes from both ends") {
  const Shape shape{64, 32, 3};
  CHECK(shape[0] == 64);
  CHECK(shape[-1] == 3);
  CHECK(shape.size() == 64 * 32 * 3);
  CHECK(Shape{}.size() == 1);
  CHECK(shape.to_string() == "[64, 32, 3]");
  CHECK(shape.unbatched() == Shape{32, 3});
  CHECK(shape.unbatched().batched(64) == shape);
  CHECK_FALSE(shape == Shape{64, 32});
}

TEST_CASE("shapes refuse what they cannot hold") {
  const auto message = [](auto f) { return error_of(ErrorCode::usage, f); };
  CHECK_THAT(message([] { Shape({2, -3}); }), Catch::Contains("[2, -3]"));
  CHECK_THAT(message([] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); }), Catch::Contains("rank 9"));
  CHECK_THAT(message([] { (void)Shape({2, 3})[2]; }), Catch::Contains("axis 2"));
  CHECK_THAT(message([] { (void)Shape({2, 3})[-3]; }), Catch::Contains("axis -3"));
  CHECK_THAT(message([] { (void)Shape().unbatched(); }), Catch::Contains("scalar"));
}

TEST_CASE("shapes broadcast as NumPy's do") {
  CHECK(broadcast_shape({2, 1, 3}, {4, 1}) == Shape{2, 4, 3});
  CHECK(broadcast_shape({}, {5}) == Shape{5});
  CHECK_THAT(error_of(ErrorCode::usage,
                      [] {
                        broadcast_shape({2, 3}, {2});
                      }),
             Catch::Contains("[2, 3] and [2]"));
}
