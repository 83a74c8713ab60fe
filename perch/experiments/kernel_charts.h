// Charts of one kernel: its channels' ranges, its weights beside a grid's levels, and the levels
// that they use. For sources of this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace perch::experiments::charts {

/// The ranges of a kernel's channels as bars, and one range that would have to do for all of them.
struct RangeChart {
  std::string title;
  struct Range {
    double low, high;
  };
  std::vector<Range> channels;
  Range whole;
  /// Share of `whole` that a channel's range takes, on average.
  double used() const;
};
/// A <figure>, as are the following.
std::string figure(const RangeChart& chart);

/// A histogram of weights, and below it the levels of grids.
struct WeightChart {
  std::string title;
  double low, high;  ///< ends of the bins, all of one width
  std::vector<std::int64_t> counts;
  struct Grid {
    std::string name;
    double low, high, step;
    std::int64_t levels() const;  ///< at low, low + step, .. high
  };
  std::vector<Grid> grids;
};
std::string figure(const WeightChart& chart);

/// How many weights lie on each level of a grid, for several quantized kernels.
struct LevelChart {
  std::string title;
  struct Use {
    std::string name;
    std::vector<std::int64_t> counts;  ///< of each level, the lowest first
    /// The fewest levels that hold 95 % of the weights.
    std::int64_t main_levels() const;
  };
  std::vector<Use> uses;
};
std::string figure(const LevelChart& chart);

}  // namespace perch::experiments::charts
