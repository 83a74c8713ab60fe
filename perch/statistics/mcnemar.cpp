#include <algorithm>
#include <cmath>

#include <boost/math/distributions/binomial.hpp>

#include <perch/core/check.h>
#include <perch/statistics/mcnemar.h>

namespace perch::statistics {

double mcnemar_exact(const Discordant& counts) {
  PERCH_CHECK(counts.first_only >= 0 && counts.second_only >= 0,
              "statistics: discordant counts {} and {} must not be negative", counts.first_only,
              counts.second_only);
  const std::int64_t all = counts.first_only + counts.second_only;
  if (all == 0) return 1.0;
  const boost::math::binomial distribution(static_cast<double>(all), 0.5);
  const auto fewer = static_cast<double>(std::min(counts.first_only, counts.second_only));
  return std::min(1.0, 2.0 * boost::math::cdf(distribution, fewer));
}

std::int64_t images_needed(double discordant, double difference) {
  PERCH_CHECK(difference > 0.0 && difference <= discordant && discordant <= 1.0,
              "statistics: a difference of {} and a discordant share of {} must be such that 0 < "
              "difference <= discordant <= 1",
              difference, discordant);
  constexpr double z_test = 1.959964, z_power = 0.841621;
  const double root =
      z_test * std::sqrt(discordant) + z_power * std::sqrt(discordant - difference * difference);
  return static_cast<std::int64_t>(std::ceil(root * root / (difference * difference)));
}

}  // namespace perch::statistics
