// Charts as inline SVG: axes with units, a legend, lines told apart by dashes and marks as well as
// colours, and a table of the same numbers for those who cannot see them. For sources of this room.
#pragma once

#include <limits>
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
  /// Values beyond which there are none: the axis ends there.
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
};

/// A <figure>.
std::string figure(const LineChart& chart);

/// What the figures need of CSS.
extern const char* const style;

}  // namespace perch::experiments::charts
