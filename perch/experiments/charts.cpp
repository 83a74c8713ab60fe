#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/drawing.h>
#include <perch/experiments/html.h>

namespace perch::experiments::charts {
namespace {

using html::escaped;

std::string name_of(const LineChart& chart, double x) {
  const auto index = static_cast<std::size_t>(std::lround(x));
  return chart.x_names.empty() ? fmt::format("{}", x) : chart.x_names.at(index);
}

/// Whether there is something between one x and the next: names that are no numbers have no order.
bool in_order(const LineChart& chart) {
  return std::ranges::all_of(chart.x_names, [](const std::string& name) {
    return name.find_first_not_of("0123456789.e+-") == std::string::npos;
  });
}

html::Table data_table(const LineChart& chart) {
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
        const bool small = point->y != 0.0 && std::abs(point->y) < 0.01;
        row.push_back(fmt::format(fmt::runtime(small ? "{:.2g}" : "{:.2f}"), point->y) +
                      (point->half_width ? fmt::format(" ± {:.2f}", *point->half_width) : ""));
      }
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// Names below the x axis, in as many rows as keep them apart.
struct NameRows {
  std::string text;
  double depth;  // of the rows after the first
};
NameRows name_rows(const std::vector<std::string>& names, const std::function<double(double)>& at) {
  constexpr double letter = 7.6, row = 17.0;
  const auto wide = [](const std::string& name) {
    return letter * static_cast<double>(name.size());
  };
  double widest = 0.0;
  for (const std::string& name : names) widest = std::max(widest, wide(name));
  const double place = at(1.0) - at(0.0);
  const auto rows = static_cast<std::size_t>(
      std::clamp(std::ceil(widest / place), 1.0, static_cast<double>(names.size())));
  // A long name may reach below the y axis' last number.
  const double first = height - bottom + (rows > 1 ? 22.0 : 16.0);
  NameRows result{"", rows > 1 ? row * static_cast<double>(rows - 1) + 6.0 : 0.0};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double half = wide(names[i]) / 2.0;
    const double x = std::max(std::min(at(static_cast<double>(i)), width - half), half);
    result.text += text_at(x, first + row * static_cast<double>(i % rows), "middle", names[i]);
  }
  return result;
}

std::string interval(std::size_t series, double x, double y, double half_width, const Scale& scale,
                     const std::function<double(double)>& y_at) {
  const std::string name = fmt::format("line c{}", series % most_styles);
  std::string text = line(x, y_at(y + half_width), x, y_at(y - half_width), name);
  // No end is drawn where it leaves the picture.
  for (const double end : {y - half_width, y + half_width}) {
    if (end >= scale.low && end <= scale.high) {
      text += line(x - 3, y_at(end), x + 3, y_at(end), name);
    }
  }
  return text;
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
  const Scale y = scale_over(std::max(low, chart.least), std::min(high, chart.most), chart.least);
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
  const NameRows names = named ? name_rows(chart.x_names, x_at) : NameRows{"", 0.0};
  std::string text = begin_figure(chart.title,
                                  fmt::format("{} by {}; the numbers are in the table below",
                                              chart.y_label, chart.x_label),
                                  height + names.depth) +
                     y_axis(y, chart.y_label) + names.text;
  if (!named) {
    const double step = std::max(1.0, std::ceil((last - first) / 8.0));
    for (double tick = std::ceil(first); tick <= last; tick += step) {
      text += text_at(x_at(tick), height - bottom + 16, "middle", number(tick, 1.0));
    }
  }
  text += line(left, height - bottom, width - right, height - bottom, "axis") +
          text_at((left + width - right) / 2, height + names.depth - 8, "middle", chart.x_label);
  const auto count = static_cast<double>(chart.series.size());
  std::string keys;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    // Beside each other, so that intervals do not lie on one another.
    const double shift = named ? (static_cast<double>(i) - (count - 1.0) / 2.0) * 7.0 : 0.0;
    std::string path, marks;
    for (const Point& point : chart.series[i].points) {
      const double px = x_at(point.x) + shift, py = y_at(point.y);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, py);
      if (point.half_width) marks += interval(i, px, point.y, *point.half_width, y, y_at);
      marks += mark(i, px, py);
    }
    if (in_order(chart)) {
      text += fmt::format("<path class=\"line c{0} d{0}\" d=\"{1}\"/>\n", i % most_styles, path);
    }
    text += marks;
    if (chart.series.size() > 1) keys += line_key(i, chart.series[i].name);
  }
  return text + "</svg>\n" + legend(keys) + numbers(html::table(data_table(chart))) + "</figure>\n";
}

// Colours of Okabe and Ito's palette, darkened on white and lightened on black.
const char* const style = R"css(
figure{margin:0;min-width:0}
figcaption{font-weight:600;margin-bottom:.3rem}
figure svg{width:100%;height:auto;display:block}
svg text{fill:var(--text);font-size:13px}
.grid{stroke:var(--rule);stroke-width:.7}
.axis{stroke:var(--text)}
.line{fill:none;stroke-width:2}
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}
.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}
.mark{fill:var(--page);stroke-width:2}
.mark.solid{fill:currentcolor}.solid.c0{color:var(--c0)}.solid.c1{color:var(--c1)}
.solid.c2{color:var(--c2)}.solid.c3{color:var(--c3)}.solid.c4{color:var(--c4)}
.solid.c5{color:var(--c5)}
.level{stroke-width:1.5}.band{stroke-width:1;fill:currentcolor;color:var(--shade)}
.d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:9 3 2 3}
.d4{stroke-dasharray:12 4}.d5{stroke-dasharray:4 4}
.bar{fill:var(--c0)}
.whole{fill:var(--shade)}
.edge{stroke:var(--c1);stroke-width:2;stroke-dasharray:7 4;fill:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.3rem 0;padding:0;
font-size:.9rem}
.legend li{padding-left:calc(34px + .4rem);text-indent:calc(-34px - .4rem)}
.legend .key{display:inline-block;width:34px;height:14px;vertical-align:middle;margin-right:.4rem}
)css";

}  // namespace perch::experiments::charts
