#include <algorithm>
#include <numeric>
#include <vector>

#include <catch2/catch.hpp>

#include <perch/core/random.h>

using namespace perch;

TEST_CASE("random bits are Philox 4x32-10's published ones") {
  // Random123's known-answer test for counter 0, key 0.
  const Random zero(0, std::uint32_t{0});
  CHECK(zero.bits(0) == 0x6627e8d5u);
  CHECK(zero.bits(1) == 0xe169c58du);
  CHECK(zero.bits(2) == 0xbc57ac4cu);
  CHECK(zero.bits(3) == 0x9b00dbd8u);
}

TEST_CASE("seed, stream, step and index each give other numbers, and the same ones again") {
  const std::uint32_t base = Random(1, "kernel", 2).bits(7);
  CHECK(Random(1, "kernel", 2).bits(7) == base);
  CHECK(Random(2, "kernel", 2).bits(7) != base);
  CHECK(Random(1, "bias", 2).bits(7) != base);
  CHECK(Random(1, "kernel", 3).bits(7) != base);
  CHECK(Random(1, "kernel", 2).bits(8) != base);
}

TEST_CASE("filling an array gives the same numbers as asking one by one") {
  const Random random(5, "fill");
  std::vector<float> values(23);
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{6}}) {
    random.fill_uniform(values, first);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == random.uniform(first + i));
  }
}

TEST_CASE("uniform and normal numbers have their moments") {
  const Random random(9, "moments");
  constexpr int count = 20000;
  double uniform = 0, normal = 0, square = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const float u = random.uniform(i, -1.0f, 3.0f), z = random.normal(i);
    REQUIRE((u >= -1.0f && u < 3.0f));
    uniform += u / count;
    normal += z / count;
    square += z * z / count;
  }
  CHECK(uniform == Approx(1.0).margin(0.03));
  CHECK(normal == Approx(0.0).margin(0.03));
  CHECK(square == Approx(1.0).margin(0.04));
}

TEST_CASE("a permutation has every number once, in an order of its own") {
  const std::vector<std::uint32_t> order = Random(4, "shuffle").permutation(1000);
  CHECK(order != Random(4, "shuffle", 1).permutation(1000));
  std::vector<std::uint32_t> sorted = order, identity(1000);
  std::iota(identity.begin(), identity.end(), 0u);
  CHECK(order != identity);
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == identity);
}
