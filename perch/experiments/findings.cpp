#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/experiments/findings.h>

namespace perch::experiments {
namespace {

constexpr double level = 0.05;

Settings without(const Settings& settings, const std::string& name) {
  Settings rest;
  for (const Setting& setting : settings) {
    if (setting.name != name) rest.push_back(setting);
  }
  return rest;
}

std::vector<Group> groups_of(const Results& results) {
  std::vector<Group> groups;
  for (const CellResult& cell : results.cells) {
    auto group = std::ranges::find(groups, cell.cell.settings, &Group::settings);
    if (group == groups.end()) {
      groups.push_back({.settings = cell.cell.settings});
      group = std::prev(groups.end());
    }
    if (cell.failed()) {
      ++group->failed;
    } else {
      group->accuracies.push_back(100.0 * cell.accuracy);
    }
  }
  for (Group& group : groups) {
    if (!group.accuracies.empty()) group.summary = statistics::summarise(group.accuracies);
  }
  return groups;
}

Pair pair_of(const CellResult& first, const CellResult& second) {
  Pair pair{.seed = first.cell.seed,
            .difference = 100.0 * (second.accuracy - first.accuracy),
            .discordant = {0, 0},
            .p = 1.0};
  const std::size_t count = std::min(first.right.size(), second.right.size());
  for (std::size_t i = 0; i < count; ++i) {
    pair.discordant.first_only += first.right[i] && !second.right[i];
    pair.discordant.second_only += second.right[i] && !first.right[i];
  }
  pair.p = statistics::mcnemar_exact(pair.discordant);
  return pair;
}

std::string better(const std::string& name, const std::string& points) {
  return fmt::format("{} is better by {} points", name, points);
}

/// "+0.4"; what rounds to zero has no sign.
std::string with_sign(double points) {
  return std::abs(points) < 0.05 ? "0.0" : fmt::format("{:+.1f}", points);
}

/// "1.9 ± 0.6", with as many digits as tell the interval from one that ends at zero.
std::string with_interval(double points, double half_width) {
  const std::string rounded = fmt::format("{:.1f}", points),
                    width = fmt::format("{:.1f}", half_width);
  return rounded != width ? rounded + " ± " + width
                          : fmt::format("{:.2f} ± {:.2f}", points, half_width);
}

/// What it would take to see a small difference between two models.
std::string images_needed(const Pair& pair, std::int64_t images) {
  const double disagree =
      static_cast<double>(pair.discordant.first_only + pair.discordant.second_only) /
      static_cast<double>(std::max<std::int64_t>(images, 1));
  if (disagree < small_difference / 100.0) return "";
  return fmt::format("; {} points would need about {} test images", small_difference,
                     statistics::images_needed(disagree, small_difference / 100.0));
}

void judge_one(Contrast& contrast, std::int64_t images) {
  const Pair& pair = contrast.pairs.front();
  const std::string p = pair.p < 0.001 ? "p < 0.001" : fmt::format("p = {:.3f}", pair.p);
  if (pair.p < level) {
    contrast.winner = pair.difference > 0.0 ? Winner::second : Winner::first;
    contrast.verdict =
        better(contrast.winner == Winner::second ? contrast.second : contrast.first,
               fmt::format("{:.1f}", std::abs(pair.difference))) +
        fmt::format(" for this one seed (McNemar's {}); another may tell otherwise", p);
  } else {
    contrast.verdict =
        fmt::format("no difference can be seen with 1 seed ({} points, McNemar's {}){}",
                    with_sign(pair.difference), p, images_needed(pair, images));
  }
}

void judge_several(Contrast& contrast) {
  const statistics::Summary& summary = contrast.differences;
  if (statistics::differs_from_zero(summary)) {
    contrast.winner = summary.mean > 0.0 ? Winner::second : Winner::first;
    contrast.verdict = better(contrast.winner == Winner::second ? contrast.second : contrast.first,
                              with_interval(std::abs(summary.mean), *summary.half_width));
    return;
  }
  contrast.verdict = fmt::format("no difference can be seen with {} seeds ({} ± {:.1f} points)",
                                 summary.count, with_sign(summary.mean), *summary.half_width);
  if (summary.deviation <= 0.0) return;
  const auto needed = statistics::pairs_needed(summary.deviation, small_difference);
  if (needed > static_cast<std::int64_t>(summary.count)) {
    contrast.verdict +=
        fmt::format("; {} points would need about {} seeds", small_difference, needed);
  } else {
    contrast.verdict += fmt::format("; {} points would most likely have shown", small_difference);
  }
}

std::vector<Contrast> contrasts_of(const Results& results) {
  const std::string question = question_of(results.experiment);
  std::vector<Contrast> contrasts;
  if (question.empty()) return contrasts;
  const auto axis = std::ranges::find(results.experiment.grid, question, &Axis::name);
  const std::string& first = axis->values.front();
  for (const CellResult& cell : results.cells) {
    const std::string& value = *find(cell.cell.settings, question);
    if (cell.failed() || value == first) continue;
    const Settings others = without(cell.cell.settings, question);
    const auto partner = std::ranges::find_if(results.cells, [&](const CellResult& other) {
      return !other.failed() && other.cell.seed == cell.cell.seed &&
             *find(other.cell.settings, question) == first &&
             without(other.cell.settings, question) == others;
    });
    if (partner == results.cells.end()) continue;
    auto contrast = std::ranges::find_if(contrasts, [&](const Contrast& held) {
      return held.second == value && held.others == others;
    });
    if (contrast == contrasts.end()) {
      contrasts.push_back({.others = others,
                           .axis = question,
                           .first = first,
                           .second = value,
                           .pairs = {},
                           .differences = {},
                           .winner = Winner::neither,
                           .verdict = ""});
      contrast = std::prev(contrasts.end());
    }
    contrast->pairs.push_back(pair_of(*partner, cell));
  }
  for (Contrast& contrast : contrasts) {
    std::vector<double> differences;
    for (const Pair& pair : contrast.pairs) differences.push_back(pair.difference);
    contrast.differences = statistics::summarise(differences);
    if (contrast.pairs.size() == 1) {
      judge_one(contrast, results.provenance.test_images);
    } else {
      judge_several(contrast);
    }
  }
  return contrasts;
}

/// "weight_bits 4, method qat": the settings that vary in the grid.
std::string varied(const Results& results, const Settings& settings) {
  Settings shown;
  for (const Axis& axis : results.experiment.grid) {
    const std::string* const value = find(settings, axis.name);
    if (axis.values.size() > 1 && value != nullptr) shown.push_back({axis.name, *value});
  }
  return to_string(shown);
}

std::string answer_to(const Results& results, const Findings& findings) {
  if (findings.contrasts.empty()) {
    return findings.groups.empty() ? "No cell has run." : "The grid compares no two settings.";
  }
  std::map<std::pair<std::string, std::string>, std::vector<const Contrast*>> by_pair;
  for (const Contrast& contrast : findings.contrasts) {
    by_pair[{contrast.first, contrast.second}].push_back(&contrast);
  }
  std::string answer;
  for (const auto& [names, of_pair] : by_pair) {
    const auto& [first, second] = names;
    const std::vector<const Contrast*>& contrasts = of_pair;
    if (!answer.empty()) answer += " ";
    if (contrasts.size() == 1) {
      answer += fmt::format("{} against {}: {}.", second, first, contrasts.front()->verdict);
      continue;
    }
    const auto count = [&](Winner winner) {
      return std::ranges::count(contrasts, winner, [](const Contrast* c) { return c->winner; });
    };
    answer += fmt::format(
        "{} against {}, in {} settings: better in {}, worse in {}, no difference to be seen in {}.",
        second, first, contrasts.size(), count(Winner::second), count(Winner::first),
        count(Winner::neither));
    const auto [least, most] =
        std::ranges::minmax(contrasts, {}, [](const Contrast* c) { return c->differences.mean; });
    for (const Contrast* const extreme : {most, least}) {
      if (extreme->winner == Winner::neither) continue;
      answer += fmt::format(" With {}: {}.", varied(results, extreme->others), extreme->verdict);
      if (most == least) break;
    }
  }
  return answer;
}

}  // namespace

Findings findings_of(const Results& results) {
  Findings findings{groups_of(results), contrasts_of(results), ""};
  findings.answer = answer_to(results, findings);
  return findings;
}

}  // namespace perch::experiments
