// Charts as inline SVG: axes with units, a legend, lines told apart by dashes and marks as well as
// colours, and a table of the same numbers for those who cannot see them. For sources of this room.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace perch::experiments::charts {

struct Point {
  double x, y;
  std::optional<double> half_width;  ///< of an interval around y
};

struct Series {
  std::string name;
  std::vector<Point> points;
};

struct LineChart {
  std::string title, x_label, y_label;
  std::vector<std::string> x_names;  ///< of x = 0, 1, ...; empty: x is a number
  std::vector<Series> series;
};

/// A <figure>.
std::string figure(const LineChart& chart);

/// The ranges of a kernel's channels as bars, and one range that would have to do for all of them.
struct RangeChart {
  std::string title;
  struct Range {
    double low, high;
  };
  std::vector<Range> channels;
  Range whole;
};
std::string figure(const RangeChart& chart);

/// What the figures need of CSS.
extern const char* const style;

}  // namespace perch::experiments::charts
