// What charts are drawn with: scales, axes, marks, legends. For sources of this room.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace perch::experiments::charts {

// In the drawing's own units, which are about pixels on a phone.
inline constexpr double width = 420, height = 270, left = 62, right = 20, top = 10, bottom = 44;
/// So many lines differ in colour and dashes; the next ones have solid marks.
inline constexpr std::size_t most_styles = 6;

/// Round numbers that span [low, high].
struct Scale {
  double low, high, step;
  std::vector<double> ticks() const;
};
/// `least`: the scale does not begin below it.
Scale scale_over(double low, double high, double least = -std::numeric_limits<double>::infinity());
/// With as many digits as a tick of this step needs.
std::string number(double value, double step);
/// Where value lies when low is drawn at `from` and high at `to`.
double across(double value, double low, double high, double from, double to);

/// Anchor: "start", "middle" or "end".
std::string text_at(double x, double y, const std::string& anchor, const std::string& text);
std::string line(double x1, double y1, double x2, double y2, const std::string& name);
/// A mark whose shape goes with the series.
std::string mark(std::size_t series, double x, double y);

/// "<figure>" with title and an <svg> that is open; `summary` is for those who cannot see it.
std::string begin_figure(const std::string& title, const std::string& summary,
                         double drawn_height = height);
/// Ticks, lines across and the label; `foot` is the y of the x axis.
std::string y_axis(const Scale& scale, const std::string& label, double foot = height - bottom);
std::string x_label(const std::string& label);
/// Numbers below the x axis, so that scale's low is drawn at `from` and its high at `to`.
std::string x_ticks(const Scale& scale, double from, double to);

/// One entry: a drawing in a box of 34 x 14, and what it stands for.
std::string key(const std::string& drawing, const std::string& text);
std::string legend(const std::string& keys);
/// Of a line with its marks.
std::string line_key(std::size_t series, const std::string& name);

/// A table that unfolds, as content of the figure.
std::string numbers(const std::string& table);

}  // namespace perch::experiments::charts
