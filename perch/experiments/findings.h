// What results say: means and intervals over seeds, pairs on the same seed and start compared, and
// a verdict in words.
#pragma once

#include <string>
#include <vector>

#include <perch/experiments/results.h>
#include <perch/statistics/mcnemar.h>
#include <perch/statistics/summary.h>

namespace perch::experiments {

/// Cells that differ in their seed alone.
struct Group {
  Settings settings;
  std::int64_t failed = 0;
  std::vector<double> accuracies;              ///< in percent
  std::optional<statistics::Summary> summary;  ///< of these; none where all failed
};

/// Two cells of one seed that differ in one setting.
struct Pair {
  std::int64_t seed;
  double difference;  ///< second's accuracy less first's, in points
  statistics::Discordant discordant;
  double p;  ///< McNemar's, exact
};

enum class Winner { neither, first, second };

/// One value of the axis asked about against its first, the other settings the same.
struct Contrast {
  Settings others;
  std::string axis, first, second;
  std::vector<Pair> pairs;
  statistics::Summary differences;
  Winner winner;
  std::string verdict;
};

struct Findings {
  std::vector<Group> groups;
  std::vector<Contrast> contrasts;
  std::string answer;  ///< to the question, in sentences
};

/// Differences below this many points are named as what it would take to see.
constexpr double small_difference = 0.3;

Findings findings_of(const Results& results);

}  // namespace perch::experiments
