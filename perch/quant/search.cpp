#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include <perch/core/check.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/parallel.h>
#include <perch/quant/search.h>

namespace perch {
namespace {

// The extremes of the values and 0.
SearchRange whole_range(std::span<const float> values) {
  PERCH_CHECK(!values.empty(), "there are no values to find a range among; give at least one");
  float low = 0.0f, high = 0.0f;
  bool finite = true;
  for (const float value : values) {
    finite &= std::isfinite(value);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  PERCH_CHECK(finite,
              "the values hold a NaN or an infinity, among which no range can be found; check the "
              "data and the learning rate");
  // Adding 0 flushes a denormal that a minimum has passed on.
  return {low + 0.0f, high + 0.0f};
}

void check_bins(int bins) {
  PERCH_CHECK(bins >= 1, "a histogram of {} bins; take at least 1", bins);
}

// Of `bins` equal ones of [0, span].
std::size_t bin_of(double distance, double span, int bins) {
  return static_cast<std::size_t>(std::min(static_cast<int>(distance / span * bins), bins - 1));
}

// Reorders the values.
float percentile_of(std::span<float> values, double percent) {
  const double place = percent / 100.0 * static_cast<double>(values.size() - 1);
  const double below = std::floor(place);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  const double value = *at;
  const auto above = std::min_element(at + 1, values.end());
  const double next = above == values.end() ? value : double{*above};
  return static_cast<float>(value + (place - below) * (next - value));
}

// A QuantGrid in double, its levels counted from the zero point: level L in [low, high] stands for
// L step.
struct Levels {
  double low, high, step, inverse;
};

// None where float32 cannot hold the grid.
std::optional<Levels> levels_of(SearchRange range, int bits, bool narrow_range) {
  const QuantGrid grid = QuantGrid::of(range.min, range.max, bits, narrow_range);
  if (grid.zero_range) return Levels{};
  if (!std::isfinite(grid.nudged_max - grid.nudged_min) || !(grid.scale > 0.0f)) return {};
  const double q_min = narrow_range ? 1.0 : 0.0, q_max = (1 << bits) - 1;
  return Levels{.low = q_min - double{grid.zero_point},
                .high = q_max - double{grid.zero_point},
                .step = double{grid.scale},
                .inverse = 1.0 / double{grid.scale}};
}

double squared_error(double value, const Levels& levels) {
  const double place = std::min(std::max(value * levels.inverse, levels.low), levels.high);
  // Not negative, so that truncation, which vectorises everywhere, rounds downwards.
  const double level = static_cast<int>(place - levels.low + 0.5) + levels.low;
  const double error = value - level * levels.step;
  return error * error;
}

// Stops where the sum has reached the limit. Sums in lanes for vector registers.
double squared_error(std::span<const float> values, const Levels& levels, double limit) {
  constexpr std::size_t lanes = 8, block = 2048;
  std::array<double, lanes> sums{};
  double total = 0.0;
  for (std::size_t begin = 0; begin < values.size() && total < limit; begin += block) {
    const auto part = values.subspan(begin, std::min(block, values.size() - begin));
    std::size_t i = 0;
    for (; i + lanes <= part.size(); i += lanes) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        sums[lane] += squared_error(double{part[i + lane]}, levels);
      }
    }
    for (; i < part.size(); ++i) sums[i % lanes] += squared_error(double{part[i]}, levels);
    total = std::accumulate(sums.begin(), sums.end(), 0.0);
  }
  return total;
}

// error_of(levels, limit) is the error of a grid; from the limit on, any number that is not below.
template <class ErrorOf>
SearchRange best_shrunken(SearchRange whole, const SettleRange& settle, int bits, bool narrow_range,
                          const ErrorOf& error_of) {
  SearchRange best = whole;
  double least = std::numeric_limits<double>::infinity();
  for (int percent = 100; percent >= 1; --percent) {
    const double share = percent / 100.0;
    const SearchRange range{static_cast<float>(whole.min * share),
                            static_cast<float>(whole.max * share)};
    const std::optional<Levels> levels = levels_of(settle(range), bits, narrow_range);
    if (!levels) continue;
    const double error = error_of(*levels, least);
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

double times_log(double count) {
  return count > 0.0 ? count * std::log(count) : 0.0;
}

// Sums over the first b bins, b = 0 .. bins.
struct RunningSums {
  explicit RunningSums(const std::vector<double>& counts) {
    for (const double each : counts) {
      count.push_back(count.back() + each);
      filled.push_back(filled.back() + (each > 0.0 ? 1.0 : 0.0));
      information.push_back(information.back() + times_log(each));
    }
  }
  std::vector<double> count{0.0};
  std::vector<double> filled{0.0};       // how many are not empty
  std::vector<double> information{0.0};  // c log c
};

// KL(P || Q) of the first T bins, multiplied out: with n values, c of each bin but the last, m of
// the last and those above it together, groups of G values in z bins that are not empty, and s
// values below T,
//   n KL = sum c log c + m log m - sum G log(G / z) - (n - s) log q + n log(s / n),
// where q is what the last bin gets from its group.
double divergence(const RunningSums& sums, std::size_t threshold, std::size_t levels) {
  constexpr double smoothing = 1e-4;
  const double all = sums.count.back(), inside = sums.count[threshold];
  const double before_last = sums.count[threshold - 1], outside = all - inside;
  double kept = inside, spread = 0.0, last = 0.0;
  std::size_t begin = 0;
  for (std::size_t group = 1; group <= levels; ++group) {
    const std::size_t end = (group * threshold + levels - 1) / levels;
    const double count = sums.count[end] - sums.count[begin];
    if (count > 0.0) {
      last = count / (sums.filled[end] - sums.filled[begin]);
      spread += count * std::log(last);
    }
    begin = end;
  }
  if (!(inside > before_last)) {
    last = smoothing;
    kept += smoothing;
  }
  return (sums.information[threshold - 1] + times_log(all - before_last) - spread -
          outside * std::log(last)) /
             all +
         std::log(kept / all);
}

}  // namespace

SearchRange percentile_range(std::span<const float> values, double percent) {
  PERCH_CHECK(percent >= 50.0 && percent <= 100.0, "percentile {} is outside of [50, 100]",
              percent);
  const FlushDenormals guard;
  whole_range(values);
  std::vector<float> copy(values.begin(), values.end());
  return {std::min(percentile_of(copy, 100.0 - percent), 0.0f),
          std::max(percentile_of(copy, percent), 0.0f)};
}

SearchRange histogram_mse_range(std::span<const float> values, int bins, const SettleRange& settle,
                                int bits, bool narrow_range) {
  check_bins(bins);
  const FlushDenormals guard;
  const SearchRange whole = whole_range(values);
  const double low = whole.min, span = double{whole.max} - low;
  if (!(span > 0.0)) return whole;
  std::vector<double> counts(static_cast<std::size_t>(bins));
  for (const float value : values) counts[bin_of(value - low, span, bins)] += 1.0;
  const double width = span / bins;
  return best_shrunken(whole, settle, bits, narrow_range, [&](const Levels& levels, double) {
    double sum = 0.0;
    for (std::size_t bin = 0; bin < counts.size(); ++bin) {
      const double centre = low + (static_cast<double>(bin) + 0.5) * width;
      sum += counts[bin] * squared_error(centre, levels);
    }
    return sum;
  });
}

SearchRange entropy_range(std::span<const float> values, int bins, int bits) {
  check_bins(bins);
  PERCH_CHECK(bits >= 1 && bits <= 16, "entropy: {} bits; it takes 1 to 16", bits);
  const FlushDenormals guard;
  const SearchRange whole = whole_range(values);
  const double top = std::max(-whole.min, whole.max);
  const auto all = static_cast<std::size_t>(bins), levels = std::size_t{1} << (bits - 1);
  if (!(top > 0.0) || levels >= all) return whole;
  std::vector<double> counts(all);
  for (const float value : values) {
    if (value != 0.0f) counts[bin_of(std::abs(double{value}), top, bins)] += 1.0;
  }
  const RunningSums sums(counts);
  constexpr double tie = 1e-10;  // above what rounding makes of equals
  std::size_t best = all;
  double least = divergence(sums, all, levels);
  for (std::size_t threshold = all - 1; threshold >= levels; --threshold) {
    if (!(sums.count[threshold - 1] > 0.0)) break;
    const double loss = divergence(sums, threshold, levels);
    if (loss < least - tie) {
      least = loss;
      best = threshold;
    }
  }
  if (best == all) return whole;
  const auto clip = static_cast<float>(static_cast<double>(best) * (top / bins));
  return {std::max(whole.min, -clip), std::min(whole.max, clip)};
}

SearchRange least_error_range(std::span<const float> values, const SettleRange& settle, int bits,
                              bool narrow_range) {
  const FlushDenormals guard;
  const SearchRange whole = whole_range(values);
  if (whole.min == 0.0f && whole.max == 0.0f) return whole;
  return best_shrunken(whole, settle, bits, narrow_range, [&](const Levels& levels, double limit) {
    return squared_error(values, levels, limit);
  });
}

}  // namespace perch
