// Against SciPy 1.17.1 and statsmodels 0.15.0: t.interval, binomtest, mcnemar(exact=True),
// TTestPower.
#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/statistics/mcnemar.h>
#include <perch/statistics/summary.h>

using namespace perch;
using namespace perch::statistics;

TEST_CASE("mean, deviation and Student's interval are SciPy's") {
  struct Row {
    std::vector<double> values;
    double mean, deviation, half_width;
  };
  const auto row =
      GENERATE(values<Row>({{{1.9, 0.6}, 1.25, 0.9192388155425117, 8.25903307851355},
                            {{0.1, -0.2, 0.3, 0.25}, 0.1125, 0.225, 0.3580252093444171},
                            {{61.2, 60.4, 62.9, 59.8, 61.0, 60.1, 63.3, 58.7},
                             60.925,
                             1.5489627866045428,
                             1.2949652964272573}}));
  const Summary found = summarise(row.values);
  CHECK(found.mean == Approx(row.mean).epsilon(1e-12));
  CHECK(found.deviation == Approx(row.deviation).epsilon(1e-12));
  REQUIRE(found.half_width);
  CHECK(*found.half_width == Approx(row.half_width).epsilon(1e-10));
  CHECK(differs_from_zero(found) == (row.mean > 60.0));
}

TEST_CASE("a single value has no interval, and no values are an error") {
  const Summary one = summarise(std::vector{3.5});
  CHECK(one.mean == 3.5);
  CHECK(one.low == 3.5);
  CHECK(one.high == 3.5);
  CHECK_FALSE(one.half_width);
  CHECK_FALSE(differs_from_zero(one));
  CHECK_THROWS_AS(summarise({}), Error);
}

TEST_CASE("McNemar's exact p is statsmodels'") {
  struct Row {
    std::int64_t first, second;
    double p;
  };
  const auto row = GENERATE(values<Row>({{0, 0, 1.0},
                                         {1, 0, 1.0},
                                         {5, 1, 0.21875},
                                         {10, 10, 1.0},
                                         {3, 15, 0.007537841796875},
                                         {59, 6, 4.964650327128616e-12},
                                         {121, 59, 4.4344492637551645e-06},
                                         {1200, 1100, 0.03896685268382023}}));
  CHECK(mcnemar_exact({row.first, row.second}) == Approx(row.p).epsilon(1e-10));
  CHECK(mcnemar_exact({row.second, row.first}) == mcnemar_exact({row.first, row.second}));
  CHECK_THROWS_AS(mcnemar_exact({-1, 2}), Error);
}

TEST_CASE("what it takes to see a difference") {
  // statsmodels gives 23.79, 5.69, 89.15 and 2.
  CHECK(pairs_needed(0.5, 0.3) == 24);
  CHECK(pairs_needed(0.2, 0.3) == 6);
  CHECK(pairs_needed(1.0, 0.3) == 90);
  CHECK(pairs_needed(0.01, 1.0) == 2);
  CHECK_THROWS_AS(pairs_needed(0.0, 0.3), Error);
  // Connor's formula in NumPy: 174417.2, 1771.3, 7846.5.
  CHECK(images_needed(0.2, 0.003) == 174418);
  CHECK(images_needed(0.0557, 0.0157) == 1772);
  CHECK(images_needed(0.1, 0.01) == 7847);
  CHECK_THROWS_AS(images_needed(0.01, 0.02), Error);
}
