#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/report_parts.h>
#include <perch/statistics/summary.h>

namespace perch::experiments {
namespace {

/// How the axes are laid out in charts: along x, as lines, and as a chart each.
struct Facets {
  const Axis* x;
  std::string lines;
  std::vector<std::string> charts;
};

Facets facets_of(const Experiment& experiment) {
  const std::string question = question_of(experiment);
  Facets facets{axis_of(experiment, "weight_bits"), question, {}};
  if (facets.x == nullptr || question == "weight_bits") {
    facets.x = axis_of(experiment, question);
    facets.lines.clear();
  }
  for (const std::string& name : varied_axes(experiment)) {
    if (name != facets.lines && (facets.x == nullptr || name != facets.x->name)) {
      facets.charts.push_back(name);
    }
  }
  return facets;
}

using OfEpoch = std::optional<double> (*)(const EpochRecord&);

struct Courses {
  std::vector<Drawn> figures;
  std::size_t left_out = 0;  // charts of nothing but zeros
};
/// Means over seeds by epoch: a chart for each setting, a line for each value of the question's
/// axis.
Courses courses(const Results& results, const Findings& findings, const char* y_label,
                OfEpoch value, bool without_zeros) {
  const std::string question = question_of(results.experiment);
  std::vector<std::string> names = varied_axes(results.experiment);
  std::erase(names, question);
  Courses result;
  for (const Settings& settings : distinct(findings, names)) {
    charts::LineChart chart{.title = title_of(settings, network_names(results.experiment)),
                            .x_label = "epoch",
                            .y_label = y_label,
                            .x_names = {},
                            .series = {},
                            .least = 0.0,
                            .most = 100.0};
    std::map<std::string, std::map<std::size_t, std::vector<double>>> by_line;
    std::vector<std::string> order;
    double largest = 0.0;
    for (const CellResult& cell : results.cells) {
      if (part(cell.cell.settings, names) != settings) continue;
      const std::string line = question.empty() ? "" : *find(cell.cell.settings, question);
      for (std::size_t epoch = 0; epoch < cell.epochs.size(); ++epoch) {
        const auto found = value(cell.epochs[epoch]);
        if (!found) continue;
        if (std::ranges::find(order, line) == order.end()) order.push_back(line);
        by_line[line][epoch].push_back(100.0 * *found);
        largest = std::max(largest, *found);
      }
    }
    for (const std::string& line : order) {
      charts::Series& series = chart.series.emplace_back();
      series.name = line;
      for (const auto& [epoch, values] : by_line[line]) {
        series.points.push_back(
            {static_cast<double>(epoch + 1), statistics::summarise(values).mean, std::nullopt});
      }
    }
    const bool course = std::ranges::any_of(
        chart.series, [](const charts::Series& series) { return series.points.size() > 1; });
    if (!course) continue;
    if (without_zeros && largest == 0.0) {
      ++result.left_out;
    } else {
      result.figures.push_back({charts::figure(chart)});
    }
  }
  return result;
}

std::string section(const std::string& heading, const std::string& about, const Courses& courses) {
  if (courses.figures.empty() && courses.left_out == 0) return "";
  std::string text = "<h2>" + heading + "</h2>\n<p>" + about;
  if (courses.left_out > 0) {
    text += courses.figures.empty()
                ? " There are none in any epoch."
                : fmt::format(" Not drawn: {} setting{} in which there are none in any epoch.",
                              courses.left_out, courses.left_out == 1 ? "" : "s");
  }
  return text + "</p>\n" + gallery(courses.figures);
}

}  // namespace

std::string accuracy_section(const Results& results, const Findings& findings) {
  const Facets facets = facets_of(results.experiment);
  if (facets.x == nullptr) return "";
  const auto charts = distinct(findings, facets.charts);
  std::vector<Drawn> figures;
  for (const Settings& of_chart : charts) {
    charts::LineChart chart{title_of(of_chart, network_names(results.experiment)),
                            facets.x->name,
                            "test accuracy, %",
                            facets.x->values,
                            {},
                            0.0,
                            100.0};
    for (const Group& group : findings.groups) {
      if (!group.summary || part(group.settings, facets.charts) != of_chart) continue;
      const std::string name = facets.lines.empty() ? "" : *find(group.settings, facets.lines);
      auto series = std::ranges::find(chart.series, name, &charts::Series::name);
      if (series == chart.series.end()) {
        chart.series.push_back({name, {}});
        series = std::prev(chart.series.end());
      }
      const auto x = std::ranges::find(facets.x->values, *find(group.settings, facets.x->name));
      series->points.push_back({static_cast<double>(x - facets.x->values.begin()),
                                group.summary->mean, group.summary->half_width});
    }
    if (!chart.series.empty()) figures.push_back({charts::figure(chart)});
  }
  return "<h2 id=\"accuracy\">Accuracy</h2>\n<p>Mean test accuracy after the last epoch, with the "
         "95 % interval over seeds.</p>\n" +
         gallery(figures);
}

std::string course_sections(const Results& results, const Findings& findings) {
  const bool validated = std::ranges::any_of(results.cells, [](const CellResult& cell) {
    return std::ranges::any_of(
        cell.epochs, [](const EpochRecord& epoch) { return epoch.val_accuracy.has_value(); });
  });
  const OfEpoch of_validation = [](const EpochRecord& epoch) { return epoch.val_accuracy; };
  const OfEpoch of_training = [](const EpochRecord& epoch) {
    return std::optional(epoch.accuracy);
  };
  const OfEpoch clipped = [](const EpochRecord& epoch) { return epoch.clipped; };
  const OfEpoch oscillating = [](const EpochRecord& epoch) { return epoch.oscillating; };
  return section("Training", "Means over seeds.",
                 courses(results, findings,
                         validated ? "validation accuracy, %" : "training accuracy, %",
                         validated ? of_validation : of_training, false)) +
         section("Clipped weights",
                 "Quantized weights that lie outside of their range at an epoch's end, as they do "
                 "where a range is learned or is that of earlier steps; means over seeds.",
                 courses(results, findings, "share of weights, %", clipped, true)) +
         section("Oscillating weights",
                 "Quantized weights that hop back and forth between two levels; means over seeds.",
                 courses(results, findings, "share of weights, %", oscillating, true));
}

}  // namespace perch::experiments
