#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/html.h>

namespace perch::experiments::charts {
namespace {

using html::escaped;

// In the drawing's own units, which are about pixels on a phone.
constexpr double width = 420, height = 270, left = 54, right = 12, top = 10, bottom = 44;
constexpr int most_styles = 6;

/// Round numbers that span [low, high].
struct Scale {
  double low, high, step;
  std::vector<double> ticks() const {
    std::vector<double> all;
    for (int i = 0; low + i * step <= high + step * 1e-6; ++i) all.push_back(low + i * step);
    return all;
  }
};

Scale scale_over(double low, double high) {
  if (!(high > low)) {
    const double room = std::max(std::abs(low) * 0.05, 0.5);
    low -= room;
    high += room;
  }
  const double rough = (high - low) / 5.0;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) {
      step = factor * power;
      break;
    }
  }
  return {std::floor(low / step) * step, std::ceil(high / step) * step, step};
}

std::string number(double value, double step) {
  const int digits = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 6);
  const std::string text = fmt::format("{:.{}f}", value, digits);
  return text.find_first_not_of("-0.") == std::string::npos ? "0" : text;
}

double across(double value, double low, double high, double from, double to) {
  return from + (value - low) / (high - low) * (to - from);
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escaped(text));
}

std::string line(double x1, double y1, double x2, double y2, const std::string& name) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", name, x1,
      y1, x2, y2);
}

/// A mark whose shape goes with the series.
std::string mark(std::size_t series, double x, double y) {
  const std::string name = fmt::format("mark c{}", series % most_styles);
  switch (series % 3) {
    case 0:
      return fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n", name, x,
                         y);
    case 1:
      return fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"7\" height=\"7\"/>\n", name,
          x - 3.5, y - 3.5);
    default:
      return fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}l5 8h-10z\"/>\n", name, x, y - 5);
  }
}

std::string begin_figure(const std::string& title, const std::string& summary) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption>\n"
      "<svg viewBox=\"0 0 {1} {2}\" role=\"img\" aria-label=\"{0}. {3}\">\n",
      escaped(title), width, height, escaped(summary));
}

std::string y_axis(const Scale& scale, const std::string& label) {
  std::string text;
  for (const double tick : scale.ticks()) {
    const double y = across(tick, scale.low, scale.high, height - bottom, top);
    text += line(left, y, width - right, y, "grid") +
            text_at(left - 6, y + 4, "end", number(tick, scale.step));
  }
  return text + fmt::format(
                    "<text transform=\"translate(13 {:.1f}) rotate(-90)\" "
                    "text-anchor=\"middle\">{}</text>\n",
                    (height - bottom + top) / 2, escaped(label));
}

std::string x_label(const std::string& label) {
  return line(left, height - bottom, width - right, height - bottom, "axis") +
         text_at((left + width - right) / 2, height - 8, "middle", label);
}

std::string legend(const std::vector<Series>& series) {
  if (series.size() < 2) return "";
  std::string text = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < series.size(); ++i) {
    text += fmt::format(
        "<li><svg class=\"key\" viewBox=\"0 0 34 14\" aria-hidden=\"true\">"
        "<path class=\"line c{0} d{0}\" d=\"M0 7h34\"/>{1}</svg>{2}</li>",
        i % most_styles, mark(i, 17, 7), escaped(series[i].name));
  }
  return text + "</ul>\n";
}

std::string name_of(const LineChart& chart, double x) {
  const auto index = static_cast<std::size_t>(std::lround(x));
  return chart.x_names.empty() ? fmt::format("{}", x) : chart.x_names.at(index);
}

std::string data_table(const LineChart& chart) {
  html::Table table{chart.title, {chart.x_label}, {}};
  std::vector<double> places;
  for (const Series& series : chart.series) {
    table.head.push_back(series.name.empty() ? chart.y_label : series.name);
    for (const Point& point : series.points) places.push_back(point.x);
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (const double x : places) {
    std::vector<std::string> row = {escaped(name_of(chart, x))};
    for (const Series& series : chart.series) {
      const auto point = std::ranges::find(series.points, x, &Point::x);
      if (point == series.points.end()) {
        row.emplace_back();
      } else {
        row.push_back(fmt::format("{:.2f}", point->y) +
                      (point->half_width ? fmt::format(" ± {:.2f}", *point->half_width) : ""));
      }
    }
    table.rows.push_back(std::move(row));
  }
  return "<details><summary>The numbers</summary>" + html::table(table) + "</details>\n";
}

}  // namespace

std::string figure(const LineChart& chart) {
  double low = INFINITY, high = -INFINITY, first = INFINITY, last = -INFINITY;
  for (const Series& series : chart.series) {
    for (const Point& point : series.points) {
      const double room = point.half_width.value_or(0.0);
      // An interval of two seeds can be as wide as the world: it may leave the picture.
      low = std::min(low, point.y - std::min(room, 15.0));
      high = std::max(high, point.y + std::min(room, 15.0));
      first = std::min(first, point.x);
      last = std::max(last, point.x);
    }
  }
  const Scale y = scale_over(low, high);
  const bool named = !chart.x_names.empty();
  if (named) {
    first = -0.5;
    last = static_cast<double>(chart.x_names.size()) - 0.5;
  } else if (last <= first) {
    first -= 0.5;
    last += 0.5;
  }
  const auto x_at = [&](double x) { return across(x, first, last, left + 6, width - right - 6); };
  const auto y_at = [&](double value) {
    return across(std::clamp(value, y.low, y.high), y.low, y.high, height - bottom, top);
  };
  std::string text =
      begin_figure(chart.title, fmt::format("{} by {}; the numbers are in the table below",
                                            chart.y_label, chart.x_label)) +
      y_axis(y, chart.y_label);
  if (named) {
    for (std::size_t i = 0; i < chart.x_names.size(); ++i) {
      text +=
          text_at(x_at(static_cast<double>(i)), height - bottom + 16, "middle", chart.x_names[i]);
    }
  } else {
    const double step = std::max(1.0, std::ceil((last - first) / 8.0));
    for (double tick = std::ceil(first); tick <= last; tick += step) {
      text += text_at(x_at(tick), height - bottom + 16, "middle", number(tick, 1.0));
    }
  }
  text += x_label(chart.x_label);
  const auto count = static_cast<double>(chart.series.size());
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    // Beside each other, so that intervals do not lie on one another.
    const double shift = named ? (static_cast<double>(i) - (count - 1.0) / 2.0) * 7.0 : 0.0;
    std::string path, marks;
    for (const Point& point : chart.series[i].points) {
      const double px = x_at(point.x) + shift, py = y_at(point.y);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, py);
      if (point.half_width) {
        const double up = y_at(point.y + *point.half_width);
        const double down = y_at(point.y - *point.half_width);
        const std::string name = fmt::format("line c{}", i % most_styles);
        marks += line(px, up, px, down, name) + line(px - 3, up, px + 3, up, name) +
                 line(px - 3, down, px + 3, down, name);
      }
      marks += mark(i, px, py);
    }
    text +=
        fmt::format("<path class=\"line c{0} d{0}\" d=\"{1}\"/>\n", i % most_styles, path) + marks;
  }
  return text + "</svg>\n" + legend(chart.series) + data_table(chart) + "</figure>\n";
}

std::string figure(const RangeChart& chart) {
  double low = chart.whole.low, high = chart.whole.high;
  for (const auto& range : chart.channels) {
    low = std::min(low, range.low);
    high = std::max(high, range.high);
  }
  const Scale y = scale_over(low, high);
  const auto y_at = [&](double value) {
    return across(value, y.low, y.high, height - bottom, top);
  };
  const auto count = static_cast<double>(chart.channels.size());
  const double step = (width - right - left) / count;
  double used = 0.0;
  for (const auto& range : chart.channels) used += range.high - range.low;
  used /= count * (chart.whole.high - chart.whole.low);
  std::string text = begin_figure(
      chart.title, fmt::format("Ranges of {} channels and the one range for all; a channel uses "
                               "{:.0f} % of it on average",
                               chart.channels.size(), 100.0 * used));
  text += fmt::format(
      "<rect class=\"whole\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
      "height=\"{:.1f}\"/>\n",
      left, y_at(chart.whole.high), width - right - left,
      y_at(chart.whole.low) - y_at(chart.whole.high));
  text += y_axis(y, "weight");
  html::Table table{chart.title, {"channel", "min", "max"}, {}};
  for (std::size_t i = 0; i < chart.channels.size(); ++i) {
    const auto& range = chart.channels[i];
    text += fmt::format(
        "<rect class=\"bar\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" "
        "height=\"{:.2f}\"/>\n",
        left + step * (static_cast<double>(i) + 0.1), y_at(range.high), step * 0.8,
        std::max(y_at(range.low) - y_at(range.high), 0.5));
    table.rows.push_back(
        {std::to_string(i), fmt::format("{:.4g}", range.low), fmt::format("{:.4g}", range.high)});
  }
  for (const double end : {chart.whole.low, chart.whole.high}) {
    text += line(left, y_at(end), width - right, y_at(end), "edge");
  }
  text += x_label(fmt::format("output channel, 0 to {}", chart.channels.size() - 1));
  return text +
         fmt::format(
             "</svg>\n<ul class=\"legend\">"
             "<li><svg class=\"key\" viewBox=\"0 0 34 14\" aria-hidden=\"true\"><rect "
             "class=\"bar\" x=\"12\" width=\"10\" height=\"14\"/></svg>range of a channel</li>"
             "<li><svg class=\"key\" viewBox=\"0 0 34 14\" aria-hidden=\"true\"><path "
             "class=\"edge\" d=\"M0 7h34\"/></svg>one range for all: {:.4g} to {:.4g}; a channel "
             "uses {:.0f} % of it on average</li></ul>\n"
             "<details><summary>The numbers</summary>{}</details></figure>\n",
             chart.whole.low, chart.whole.high, 100.0 * used, html::table(table));
}

// Colours of Okabe and Ito's palette, darkened on white and lightened on black.
const char* const style = R"css(
figure{margin:0;min-width:0}
figcaption{font-weight:600;margin-bottom:.3rem}
figure svg{width:100%;height:auto;display:block}
svg text{fill:var(--text);font-size:12px}
.grid{stroke:var(--rule);stroke-width:.7}
.axis{stroke:var(--text)}
.line{fill:none;stroke-width:2}
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}
.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}
.mark{fill:var(--page);stroke-width:2}
.d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:9 3 2 3}
.d4{stroke-dasharray:12 4}.d5{stroke-dasharray:4 4}
.bar{fill:var(--c0)}
.whole{fill:var(--shade)}
.edge{stroke:var(--c1);stroke-width:2;stroke-dasharray:7 4;fill:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.3rem 0;padding:0;
font-size:.9rem}
.legend .key{display:inline-block;width:34px;height:14px;vertical-align:middle;margin-right:.4rem}
)css";

}  // namespace perch::experiments::charts
