#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <perch/experiments/drawing.h>
#include <perch/experiments/html.h>

namespace perch::experiments::charts {

using html::escaped;

std::vector<double> Scale::ticks() const {
  std::vector<double> all;
  for (int i = 0; low + i * step <= high + step * 1e-6; ++i) all.push_back(low + i * step);
  return all;
}

Scale scale_over(double low, double high, double least) {
  if (!(high > low)) {
    const double room = std::max(std::abs(low) * 0.05, 0.5);
    low = std::max(low - room, least);
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
  const auto power = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  const double mantissa = std::round(value / std::pow(10.0, power));
  if (power < -3 && mantissa != 0.0) {  // 15e-4 leaves the axis' name room, 0.0015 does not
    return fmt::format("{:.0f}e{}", mantissa, power);
  }
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

std::string mark(std::size_t series, double x, double y) {
  const std::string name = fmt::format("mark c{0}{1}", series % most_styles,
                                       series / most_styles % 2 == 0 ? "" : " solid");
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

std::string begin_figure(const std::string& title, const std::string& summary,
                         double drawn_height) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption>\n"
      "<svg viewBox=\"0 0 {1} {2}\" role=\"img\" aria-label=\"{0}. {3}\">\n",
      escaped(title), width, drawn_height, escaped(summary));
}

std::string y_axis(const Scale& scale, const std::string& label, double foot) {
  std::string text;
  for (const double tick : scale.ticks()) {
    const double y = across(tick, scale.low, scale.high, foot, top);
    text += line(left, y, width - right, y, "grid") +
            text_at(left - 6, y + 4, "end", number(tick, scale.step));
  }
  return text + fmt::format(
                    "<text transform=\"translate(13 {:.1f}) rotate(-90)\" "
                    "text-anchor=\"middle\">{}</text>\n",
                    (foot + top) / 2, escaped(label));
}

std::string x_label(const std::string& label) {
  constexpr double foot = height - bottom;
  return line(left, foot, width - right, foot, "axis") +
         text_at((left + width - right) / 2, foot + bottom - 8, "middle", label);
}

std::string x_ticks(const Scale& scale, double from, double to) {
  constexpr double foot = height - bottom;
  std::string text;
  for (const double tick : scale.ticks()) {
    const double x = across(tick, scale.low, scale.high, from, to);
    text += line(x, foot, x, foot + 4, "axis") +
            text_at(x, foot + 17, "middle", number(tick, scale.step));
  }
  return text;
}

std::string key(const std::string& drawing, const std::string& text) {
  return fmt::format(
      "<li><svg class=\"key\" viewBox=\"0 0 34 14\" aria-hidden=\"true\">{}</svg>{}</li>", drawing,
      escaped(text));
}

std::string legend(const std::string& keys) {
  return keys.empty() ? "" : "<ul class=\"legend\">" + keys + "</ul>\n";
}

std::string line_key(std::size_t series, const std::string& name) {
  return key(fmt::format("<path class=\"line c{0} d{0}\" d=\"M0 7h34\"/>", series % most_styles) +
                 mark(series, 17, 7),
             name);
}

std::string numbers(const std::string& table) {
  return "<details><summary>The numbers</summary>" + table + "</details>\n";
}

}  // namespace perch::experiments::charts
