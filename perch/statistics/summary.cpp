#include <algorithm>
#include <cmath>
#include <numeric>

#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <perch/core/check.h>
#include <perch/statistics/summary.h>

namespace perch::statistics {
namespace {

constexpr double upper_tail = 0.025, power_wanted = 0.8;
// Beyond this many nobody asks for one more or less.
constexpr std::int64_t most_pairs = 1'000'000;

double critical_t(std::int64_t count) {
  const boost::math::students_t distribution(static_cast<double>(count - 1));
  return boost::math::quantile(boost::math::complement(distribution, upper_tail));
}

double power_of(std::int64_t count, double effect) {
  const double t = critical_t(count), n = static_cast<double>(count);
  const boost::math::non_central_t distribution(n - 1.0, effect * std::sqrt(n));
  return boost::math::cdf(boost::math::complement(distribution, t)) +
         boost::math::cdf(distribution, -t);
}

}  // namespace

Summary summarise(std::span<const double> values) {
  PERCH_CHECK(!values.empty(), "statistics: there are no values");
  const auto count = static_cast<std::int64_t>(values.size());
  const auto n = static_cast<double>(count);
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  const auto [low, high] = std::ranges::minmax(values);
  Summary result{count, mean, low, high, 0.0, std::nullopt};
  if (count == 1) return result;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  result.deviation = std::sqrt(squares / (n - 1.0));
  result.half_width = critical_t(count) * result.deviation / std::sqrt(n);
  return result;
}

bool differs_from_zero(const Summary& summary) {
  return summary.half_width && std::abs(summary.mean) > *summary.half_width;
}

std::int64_t pairs_needed(double deviation, double difference) {
  PERCH_CHECK(
      std::isfinite(deviation) && deviation > 0.0 && std::isfinite(difference) && difference > 0.0,
      "statistics: deviation {} and difference {} must be positive", deviation, difference);
  const double effect = difference / deviation;
  // From the normal distribution's answer, which is a little low.
  const double rough = std::pow((1.959964 + 0.841621) / effect, 2.0);
  if (rough >= static_cast<double>(most_pairs)) return most_pairs;
  std::int64_t count = std::max<std::int64_t>(2, static_cast<std::int64_t>(rough));
  if (count > 10'000) return count;  // the two agree
  while (power_of(count, effect) < power_wanted) ++count;
  return count;
}

}  // namespace perch::statistics
