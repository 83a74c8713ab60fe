#include <algorithm>

#include <fmt/format.h>

#include <perch/experiments/report_parts.h>

namespace perch::experiments {

std::vector<std::string> varied_axes(const Experiment& experiment) {
  std::vector<std::string> names;
  for (const Axis& axis : experiment.grid) {
    if (axis.values.size() > 1) names.push_back(axis.name);
  }
  return names;
}

const Axis* axis_of(const Experiment& experiment, const std::string& name) {
  const auto found = std::ranges::find(experiment.grid, name, &Axis::name);
  return found == experiment.grid.end() || found->values.size() < 2 ? nullptr : &*found;
}

Settings part(const Settings& settings, const std::vector<std::string>& names) {
  Settings result;
  for (const Setting& setting : settings) {
    if (std::ranges::find(names, setting.name) != names.end()) result.push_back(setting);
  }
  return result;
}

std::vector<Settings> distinct(const Findings& findings, const std::vector<std::string>& names) {
  std::vector<Settings> all;
  for (const Group& group : findings.groups) {
    Settings settings = part(group.settings, names);
    if (std::ranges::find(all, settings) == all.end()) all.push_back(std::move(settings));
  }
  return all;
}

std::string title_of(const Settings& settings, const std::string& otherwise) {
  return settings.empty() ? otherwise : to_string(settings);
}

std::string in_words(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

std::string gallery(const std::vector<Drawn>& figures) {
  // More charts of a kind than these are for programs to draw, from results.json.
  constexpr std::size_t most_open = 8, most = 64;
  std::string open, folded;
  std::size_t shown = 0, behind = 0;
  for (std::size_t i = 0; i < std::min(figures.size(), most); ++i) {
    const bool fold = figures[i].folded || shown == most_open;
    (fold ? folded : open) += figures[i].figure;
    ++(fold ? behind : shown);
  }
  std::string text;
  if (shown > 0) text += "<div class=\"charts\">\n" + open + "</div>\n";
  if (behind > 0) {
    text += fmt::format(
        "<details class=\"more\"><summary>{} more chart{}</summary><div class=\"charts\">\n{}</div>"
        "</details>\n",
        behind, behind == 1 ? "" : "s", folded);
  }
  if (figures.size() > most) {
    text += fmt::format("<p>{} more are not drawn; results.json has their numbers.</p>\n",
                        figures.size() - most);
  }
  return text;
}

}  // namespace perch::experiments
