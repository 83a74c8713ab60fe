#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include <perch/experiments/drawing.h>
#include <perch/experiments/html.h>
#include <perch/experiments/kernel_charts.h>

namespace perch::experiments::charts {
namespace {

std::string box(const std::string& name, double x, double y, double wide, double high) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"/>\n", name,
      x, y, wide, std::max(high, 0.5));
}

double total(const std::vector<std::int64_t>& counts) {
  return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
}

double largest_share(const std::vector<std::int64_t>& counts) {
  return static_cast<double>(*std::ranges::max_element(counts)) / total(counts);
}

/// A grid's levels side by side; as a bar where they lie too close to be told apart.
std::string levels(const WeightChart::Grid& grid, std::size_t index, double y,
                   const std::function<double(double)>& x_at) {
  constexpr std::int64_t most = 100;
  const std::string name = fmt::format("c{}", index + 1);
  if (grid.levels() > most) {
    return box("band " + name, x_at(grid.low), y, x_at(grid.high) - x_at(grid.low), 10.0);
  }
  std::string text;
  for (std::int64_t i = 0; i < grid.levels(); ++i) {
    const double x = x_at(grid.low + static_cast<double>(i) * grid.step);
    text += line(x, y, x, y + 10.0, "level " + name);
  }
  return text;
}

}  // namespace

double RangeChart::used() const {
  double sum = 0.0;
  for (const Range& range : channels) sum += range.high - range.low;
  return sum / (static_cast<double>(channels.size()) * (whole.high - whole.low));
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
  const double step = (width - right - left) / static_cast<double>(chart.channels.size());
  const double used = 100.0 * chart.used();
  std::string text = begin_figure(
      chart.title, fmt::format("Ranges of {} channels and the one range for all; a channel uses "
                               "{:.0f} % of it on average",
                               chart.channels.size(), used));
  text += box("whole", left, y_at(chart.whole.high), width - right - left,
              y_at(chart.whole.low) - y_at(chart.whole.high));
  text += y_axis(y, "weight");
  html::Table table{chart.title, {"channel", "min", "max"}, {}};
  for (std::size_t i = 0; i < chart.channels.size(); ++i) {
    const auto& range = chart.channels[i];
    text += box("bar", left + step * (static_cast<double>(i) + 0.1), y_at(range.high), step * 0.8,
                y_at(range.low) - y_at(range.high));
    table.rows.push_back(
        {std::to_string(i), fmt::format("{:.4g}", range.low), fmt::format("{:.4g}", range.high)});
  }
  for (const double end : {chart.whole.low, chart.whole.high}) {
    text += line(left, y_at(end), width - right, y_at(end), "edge");
  }
  text += x_label(fmt::format("output channel, 0 to {}", chart.channels.size() - 1));
  return text + "</svg>\n" +
         legend(key("<rect class=\"bar\" x=\"12\" width=\"10\" height=\"14\"/>",
                    "range of a channel") +
                key("<path class=\"edge\" d=\"M0 7h34\"/>",
                    fmt::format("one range for all: {:.4g} to {:.4g}; a channel uses {:.0f} % of "
                                "it on average",
                                chart.whole.low, chart.whole.high, used))) +
         numbers(html::table(table)) + "</figure>\n";
}

std::int64_t WeightChart::Grid::levels() const {
  return step > 0.0 ? std::llround((high - low) / step) + 1 : 1;
}

std::string figure(const WeightChart& chart) {
  double low = chart.low, high = chart.high;
  for (const auto& grid : chart.grids) {
    low = std::min(low, grid.low);
    high = std::max(high, grid.high);
  }
  constexpr double row = 15.0, foot = height - bottom;
  const double ground = foot - row * static_cast<double>(chart.grids.size()) - 10.0;
  const Scale x = scale_over(low, high);
  const Scale y = scale_over(0.0, 100.0 * largest_share(chart.counts));
  const auto x_at = [&](double value) { return across(value, x.low, x.high, left, width - right); };
  std::string text =
      begin_figure(chart.title,
                   "Histogram of the weights above the levels of the grid; the numbers are in the "
                   "table below") +
      y_axis(y, "share of weights, %", ground);
  html::Table table{chart.title, {"weights from", "to", "share"}, {}};
  const double bin = (chart.high - chart.low) / static_cast<double>(chart.counts.size());
  for (std::size_t i = 0; i < chart.counts.size(); ++i) {
    const double share = 100.0 * static_cast<double>(chart.counts[i]) / total(chart.counts);
    const double from = chart.low + static_cast<double>(i) * bin;
    table.rows.push_back({fmt::format("{:.4g}", from), fmt::format("{:.4g}", from + bin),
                          fmt::format("{:.2f} %", share)});
    if (chart.counts[i] == 0) continue;
    const double tall = across(share, 0.0, y.high, 0.0, ground - top);
    text +=
        box("bar", x_at(from), ground - tall, std::max(x_at(from + bin) - x_at(from), 0.5), tall);
  }
  text += line(left, ground, width - right, ground, "axis");
  std::string keys = key("<rect class=\"bar\" x=\"12\" width=\"10\" height=\"14\"/>",
                         fmt::format("{:.0f} weights", total(chart.counts)));
  for (std::size_t i = 0; i < chart.grids.size(); ++i) {
    const auto& grid = chart.grids[i];
    text += text_at(left - 6, ground + row * static_cast<double>(i) + 20.0, "end",
                    std::string(1, static_cast<char>('A' + i))) +
            levels(grid, i, ground + row * static_cast<double>(i) + 10.0, x_at);
    keys +=
        key(fmt::format("<path class=\"level c{}\" d=\"M5 2v10M13 2v10M21 2v10M29 2v10\"/>", i + 1),
            fmt::format("{}: {}, {} level{}", static_cast<char>('A' + i), grid.name, grid.levels(),
                        grid.levels() == 1 ? "" : fmt::format("s {:.3g} apart", grid.step)));
  }
  return text + x_ticks(x, left, width - right) + x_label("weight") + "</svg>\n" + legend(keys) +
         numbers(html::table(table)) + "</figure>\n";
}

std::int64_t LevelChart::Use::main_levels() const {
  std::vector<std::int64_t> sorted = counts;
  std::ranges::sort(sorted, std::greater());
  const double enough = 0.95 * total(counts);
  double held = 0.0;
  std::int64_t levels = 0;
  for (const std::int64_t count : sorted) {
    if (held >= enough) break;
    held += static_cast<double>(count);
    ++levels;
  }
  return levels;
}

std::string figure(const LevelChart& chart) {
  std::size_t count = 0;
  double largest = 0.0;
  for (const auto& use : chart.uses) {
    count = std::max(count, use.counts.size());
    largest = std::max(largest, largest_share(use.counts));
  }
  constexpr double foot = height - bottom;
  const Scale y = scale_over(0.0, 100.0 * largest);
  const double step = (width - right - left) / static_cast<double>(count);
  std::string text = begin_figure(chart.title,
                                  "Share of the weights on each level; the numbers are in the "
                                  "table below") +
                     y_axis(y, "share of weights, %");
  html::Table table{chart.title, {"level"}, {}};
  table.rows.resize(count);
  for (std::size_t level = 0; level < count; ++level) {
    table.rows[level].push_back(std::to_string(level));
  }
  std::string keys;
  for (std::size_t i = 0; i < chart.uses.size(); ++i) {
    const auto& use = chart.uses[i];
    table.head.push_back(use.name);
    std::string path = fmt::format("M{:.1f} {:.1f}", left, foot);
    for (std::size_t level = 0; level < count; ++level) {
      const bool known = level < use.counts.size();
      const double share =
          known ? 100.0 * static_cast<double>(use.counts[level]) / total(use.counts) : 0.0;
      path += fmt::format("V{:.1f}h{:.2f}", across(share, y.low, y.high, foot, top), step);
      table.rows[level].push_back(known ? fmt::format("{:.2f} %", share) : "");
    }
    const std::string stairs = fmt::format("line c{0} d{0}", i % most_styles);
    text += fmt::format("<path class=\"{}\" d=\"{}V{:.1f}\"/>\n", stairs, path, foot);
    keys += key(fmt::format("<path class=\"{}\" d=\"M0 7h34\"/>", stairs),
                fmt::format("{}: {} of {} levels hold 95 % of the weights", use.name,
                            use.main_levels(), use.counts.size()));
  }
  const std::size_t every = (count - 1) / 8 + 1;
  for (std::size_t level = 0; level < count; level += every) {
    text += text_at(left + step * (static_cast<double>(level) + 0.5), foot + 16, "middle",
                    std::to_string(level));
  }
  return text + x_label("level") + "</svg>\n" + legend(keys) + numbers(html::table(table)) +
         "</figure>\n";
}

}  // namespace perch::experiments::charts
