// The searches for a range against naive references in double, straight from the formulas.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <catch2/catch.hpp>
#include <tests/support/errors.h>
#include <tests/support/reference_quant.h>

#include <perch/core/random.h>
#include <perch/quant/search.h>

using namespace perch;
using namespace perch::test;

namespace {

using Values = std::vector<float>;

const std::vector<std::string> kinds{"normal",  "uniform",      "relu",   "negative",
                                     "outlier", "far from 0",   "few",    "huge",
                                     "tiny",    "mostly zeros", "one far"};

Values drawn(const std::string& kind, std::size_t count = 3003) {
  const Random random(5, kind);
  Values values;
  for (std::size_t i = 0; i < count; ++i) {
    const float normal = random.normal(i);
    float value = normal;
    if (kind == "uniform") value = random.uniform(i, -0.3f, 1.1f);
    if (kind == "relu") value = std::max(normal, 0.0f);
    if (kind == "negative") value = -std::abs(normal);
    if (kind == "outlier" && i % 500 == 7) value *= 20.0f;
    if (kind == "far from 0") value = random.uniform(i, 4.0f, 5.0f);
    if (kind == "few") value = std::round(normal * 1.5f);
    if (kind == "huge") value *= 5e37f;
    if (kind == "tiny") value *= 1e-30f;
    if (kind == "mostly zeros" && i % 50 != 0) value = 0.0f;
    if (kind == "one far" && i == 1234) value = 90.0f;
    values.push_back(value);
  }
  return values;
}

SearchRange extremes(const Values& values) {
  return {std::min(*std::min_element(values.begin(), values.end()), 0.0f),
          std::max(*std::max_element(values.begin(), values.end()), 0.0f)};
}

SearchRange as_it_is(SearchRange range) {
  return range;
}

SearchRange mirrored(SearchRange range) {
  const float end = std::max(-range.min, range.max);
  return {-end, end};
}

float naive_percentile(Values values, double percent) {
  std::sort(values.begin(), values.end());
  const double place = static_cast<double>(values.size() - 1) * percent / 100.0;
  const auto below = static_cast<std::size_t>(place);
  const double share = place - std::floor(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return static_cast<float>((1.0 - share) * values[below] + share * values[above]);
}

struct Point {
  double value, weight;
};

SearchRange naive_shrunken(SearchRange whole, const std::vector<Point>& points,
                           const SettleRange& settle, int bits, bool narrow) {
  SearchRange best = whole;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 100; i >= 1; --i) {
    const SearchRange range{static_cast<float>(double{whole.min} * (i / 100.0)),
                            static_cast<float>(double{whole.max} * (i / 100.0))};
    const SearchRange used = settle(range);
    double error = 0.0;
    for (const Point& point : points) {
      const float value = static_cast<float>(point.value);
      const double rounded = reference::quantize(value, used.min, used.max, bits, narrow, true);
      error += point.weight * (point.value - rounded) * (point.value - rounded);
    }
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

std::size_t bin_of(double distance, double span, int bins) {
  return static_cast<std::size_t>(std::min(std::floor(distance / span * bins), bins - 1.0));
}

SearchRange naive_histogram_mse(const Values& values, int bins, const SettleRange& settle, int bits,
                                bool narrow) {
  const SearchRange whole = extremes(values);
  const double low = whole.min, span = whole.max - low;
  std::vector<Point> points;
  for (int bin = 0; bin < bins; ++bin) points.push_back({low + (bin + 0.5) * span / bins, 0.0});
  for (const float value : values) points[bin_of(value - low, span, bins)].weight += 1.0;
  return naive_shrunken(whole, points, settle, bits, narrow);
}

SearchRange naive_least_error(const Values& values, const SettleRange& settle, int bits,
                              bool narrow) {
  std::vector<Point> points;
  for (const float value : values) points.push_back({value, 1.0});
  return naive_shrunken(extremes(values), points, settle, bits, narrow);
}

using Histogram = std::vector<double>;

double sum_of(const Histogram& histogram) {
  return std::accumulate(histogram.begin(), histogram.end(), 0.0);
}

// Each group's sum spread evenly over its bins that are not empty.
Histogram spread(const Histogram& inside, std::size_t levels) {
  Histogram result(inside.size()), sums(levels), filled(levels);
  const auto group_of = [&](std::size_t bin) { return bin * levels / inside.size(); };
  for (std::size_t bin = 0; bin < inside.size(); ++bin) {
    sums[group_of(bin)] += inside[bin];
    filled[group_of(bin)] += inside[bin] > 0.0 ? 1.0 : 0.0;
  }
  for (std::size_t bin = 0; bin < inside.size(); ++bin) {
    if (inside[bin] > 0.0) result[bin] = sums[group_of(bin)] / filled[group_of(bin)];
  }
  return result;
}

double divergence(const Histogram& p, const Histogram& q) {
  const double p_sum = sum_of(p), q_sum = sum_of(q);
  double result = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0.0) result += p[i] / p_sum * std::log((p[i] / p_sum) / (q[i] / q_sum));
  }
  return result;
}

SearchRange naive_entropy(const Values& values, int bins, int bits) {
  const SearchRange whole = extremes(values);
  const double top = std::max(-whole.min, whole.max);
  const std::size_t all = static_cast<std::size_t>(bins), levels = std::size_t{1} << (bits - 1);
  Histogram counts(all);
  for (const float value : values) {
    if (value != 0.0f) counts[bin_of(std::abs(double{value}), top, bins)] += 1.0;
  }
  std::size_t best = all;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t threshold = all; threshold >= levels; --threshold) {
    const auto end = counts.begin() + static_cast<std::ptrdiff_t>(threshold);
    const Histogram inside(counts.begin(), end);
    if (threshold < all && sum_of(inside) == inside.back()) continue;
    Histogram p = inside, q = spread(inside, levels);
    p.back() += std::accumulate(end, counts.end(), 0.0);
    if (p.back() > 0.0 && q.back() == 0.0) q.back() = 1e-4;
    const double loss = divergence(p, q);
    if (loss < least - 1e-10) {
      least = loss;
      best = threshold;
    }
  }
  const auto clip = static_cast<float>(static_cast<double>(best) / bins * top);
  return {std::max(whole.min, -clip), std::min(whole.max, clip)};
}

void check_same(SearchRange found, SearchRange expected, double tolerance = 1e-6) {
  CHECK(double{found.min} == Approx(expected.min).epsilon(tolerance));
  CHECK(double{found.max} == Approx(expected.max).epsilon(tolerance));
}

// Every search that there is.
std::vector<SearchRange> all_searches(const Values& values, int bits) {
  return {percentile_range(values, 99.0), histogram_mse_range(values, 64, as_it_is, bits, false),
          entropy_range(values, 64, bits), least_error_range(values, as_it_is, bits, false)};
}

}  // namespace

TEST_CASE("percentiles are interpolated between the values in order") {
  for (const std::string& kind : kinds) {
    const Values values = drawn(kind);
    for (const double percent : {50.0, 72.5, 99.0, 99.99, 100.0}) {
      INFO(kind << ", " << percent);
      check_same(percentile_range(values, percent),
                 {std::min(naive_percentile(values, 100.0 - percent), 0.0f),
                  std::max(naive_percentile(values, percent), 0.0f)});
    }
  }
  check_same(percentile_range(Values{3.0f, -1.0f, 2.0f, 0.0f, 1.0f, -2.0f}, 90.0), {-1.5f, 2.5f});
  CHECK(error_of(ErrorCode::usage, [] {
          percentile_range(Values{1.0f}, 49.0);
        }).find("49 is outside of [50, 100]") != std::string::npos);
}

TEST_CASE("the shrunken range of least squared error, on values and on a histogram", "[slow]") {
  const int bits = GENERATE(1, 2, 4, 8);
  const bool symmetric = GENERATE(false, true), narrow = GENERATE(false, true);
  if (bits == 1 && (symmetric || narrow)) return;
  const SettleRange settle = symmetric ? mirrored : as_it_is;
  for (const std::string& kind : kinds) {
    INFO(kind << ", " << bits << " bits, symmetric " << symmetric << ", narrow " << narrow);
    const Values values = drawn(kind);
    check_same(least_error_range(values, settle, bits, narrow),
               naive_least_error(values, settle, bits, narrow));
    check_same(histogram_mse_range(values, 300, settle, bits, narrow),
               naive_histogram_mse(values, 300, settle, bits, narrow));
  }
}

TEST_CASE("the threshold of least divergence") {
  const int bits = GENERATE(1, 2, 4, 6, 8, 9), bins = GENERATE(64, 300);
  for (const std::string& kind : kinds) {
    INFO(kind << ", " << bits << " bits, " << bins << " bins");
    const Values values = drawn(kind);
    check_same(entropy_range(values, bins, bits), naive_entropy(values, bins, bits));
  }
}

TEST_CASE("searches find what is known of normal values and of outliers") {
  // Banner et al. 2019: 4 bits are best clipped at 2.55 standard deviations.
  const Values normal = drawn("normal", 40000);
  const SearchRange four = least_error_range(normal, mirrored, 4, false);
  CHECK(mirrored(four).max == Approx(2.55).epsilon(0.06));
  CHECK(mirrored(histogram_mse_range(normal, 2048, mirrored, 4, false)).max ==
        Approx(2.55).epsilon(0.06));

  Values spiked = normal;
  spiked[99] = 100.0f;
  CHECK(entropy_range(spiked, 2048, 8).max < 10.0f);
  CHECK(entropy_range(spiked, 2048, 16).max == 100.0f);
  CHECK(percentile_range(spiked, 99.9).max < 5.0f);

  // Zeros, of which a ReLU makes many, do not draw the threshold towards them.
  Values with_zeros = spiked;
  with_zeros.resize(4 * spiked.size());
  CHECK(entropy_range(with_zeros, 2048, 8).max == entropy_range(spiked, 2048, 8).max);
}

TEST_CASE("of equals the widest range is found") {
  const Values values = drawn("normal");
  const auto settle = [](SearchRange) { return SearchRange{-1.0f, 1.0f}; };
  check_same(least_error_range(values, settle, 4, false), extremes(values));
  check_same(histogram_mse_range(values, 64, settle, 4, false), extremes(values));

  // 64 bins of width 1 and 16 groups: up to a threshold of 48 each of bins 0, 3 and 6 has a group
  // of its own, so that only the one value above is lost.
  Values apart{64.0f};
  apart.resize(1 + 1000, 0.5f);
  apart.resize(apart.size() + 10, 3.5f);
  apart.resize(apart.size() + 100, 6.5f);
  CHECK(entropy_range(apart, 64, 5).max == 48.0f);
}

TEST_CASE("searches among one value, equal values and zeros") {
  const int bits = GENERATE(2, 8, 16);
  // The centre of the outermost of 64 bins lies 1/128 inside.
  constexpr double bin = 1.0 / 64;
  for (const SearchRange& found : all_searches({2.5f}, bits)) check_same(found, {0.0f, 2.5f}, bin);
  for (const SearchRange& found : all_searches(Values(77, -0.3f), bits)) {
    check_same(found, {-0.3f, 0.0f}, bin);
  }
  const float denormal = std::numeric_limits<float>::denorm_min();
  for (const Values& values : {Values(9), Values{-0.0f}, Values{denormal, -5 * denormal}}) {
    for (const SearchRange& found : all_searches(values, bits)) {
      CHECK((found.min == 0.0f && found.max == 0.0f));
      CHECK((!std::signbit(found.min) && !std::signbit(found.max)));
    }
  }
}

TEST_CASE("searches stay finite and inside of the extremes at both ends of float32") {
  constexpr float most = std::numeric_limits<float>::max();
  constexpr float least = std::numeric_limits<float>::min();
  const int bits = GENERATE(2, 8, 16);
  for (const float size : {most, least}) {
    const Values values{-size, 0.25f * size, size, 0.5f * size, -0.125f * size};
    for (const SearchRange& found : all_searches(values, bits)) {
      CHECK((found.min >= -size && found.min <= 0.0f));
      CHECK((found.max <= size && found.max >= 0.0f));
    }
  }
  // A range wider than float32 has no grid, but half of it has.
  const SearchRange half = least_error_range(Values{-most, most}, as_it_is, bits, false);
  CHECK(half.max <= 0.5f * most);
  CHECK(half.max > 0.48f * most);
}

TEST_CASE("searches refuse no values and values that are not finite") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    const Values values{1.0f, bad, -1.0f};
    const auto refused = [&](const auto& search) {
      CHECK(error_of(ErrorCode::usage, [&] { search(values); }).find("learning rate") !=
            std::string::npos);
      CHECK(error_of(ErrorCode::usage, [&] { search(Values{}); }).find("no values") !=
            std::string::npos);
    };
    refused([](const Values& x) { percentile_range(x, 99.0); });
    refused([](const Values& x) { histogram_mse_range(x, 64, as_it_is, 8, false); });
    refused([](const Values& x) { entropy_range(x, 64, 8); });
    refused([](const Values& x) { least_error_range(x, as_it_is, 8, false); });
  }
}
