#include "grid_estimate.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/core/warn.h>

#include "machine.h"

using namespace perch;
using namespace perch::experiments;

namespace {

// Side by side is chosen where it promises this much more.
constexpr double worth_it = 1.1;
// Configurations that are timed; what is left takes the pace of one that is like it.
constexpr std::size_t most_configurations = 6;
// In passes over as many images: what analyze does with 256, and a calibration of quantize.
constexpr double analysis_images = 2048.0, calibration_images = 1024.0;

/// What a step's time depends on most.
std::string key_of(const Arguments& command) {
  const char* const kind = quantizes(command) ? "quantized" : "float";
  return fmt::format("{} {} width {} batch {}", kind, command.at(1),
                     option_in(command, "--width").value_or("1"),
                     option_in(command, "--batch-size").value_or("64"));
}

double number(const Arguments& command, const std::string& name, double otherwise) {
  const auto text = option_in(command, name);
  return text ? std::atof(text->c_str()) : otherwise;
}

}  // namespace

GridProbe::GridProbe(const GridPlan& left, std::int64_t train_images, std::int64_t test_images)
    : left_(left),
      test_images_(static_cast<double>(test_images)),
      test_share_(test_images_ / static_cast<double>(train_images + test_images)) {
  // Trained cells first: their rate is the one that is told.
  for (const CellPlan& cell : left.cells) {
    if (cell.trains()) note(cell.probe);
  }
  for (const StartPlan& start : left.starts) note(start.probe);
  for (const CellPlan& cell : left.cells) {
    if (!cell.trains()) note(cell.probe);
  }
}

void GridProbe::note(const Arguments& command) {
  const std::string key = key_of(command);
  const auto same = std::ranges::find(configurations_, key, &Configuration::key);
  if (same == configurations_.end() && configurations_.size() < most_configurations) {
    configurations_.push_back({key, command});
  }
}

const Pace& GridProbe::pace_of(const Arguments& command, const Paces& paces) const {
  const auto found = paces.find(key_of(command));
  if (found != paces.end()) return found->second;
  const auto like = std::ranges::find_if(configurations_, [&](const Configuration& other) {
    return quantizes(other.command) == quantizes(command);
  });
  const auto& nearest = like == configurations_.end() ? configurations_.front() : *like;
  return paces.at(nearest.key);
}

/// A process that reads the test images, and a pass over them.
double GridProbe::evaluation(const Pace& pace) const {
  return pace.start_seconds * test_share_ + test_images_ / pace.evaluation_images_per_second;
}

double GridProbe::seconds_of(const StartPlan& start, const Paces& paces) const {
  const Pace& pace = pace_of(start.probe, paces);
  if (start.command.empty()) return evaluation(pace);
  return pace.start_seconds + number(start.command, "--epochs", 1.0) * pace.epoch_seconds +
         pace.further_seconds;
}

double GridProbe::seconds_of(const CellPlan& cell, const Paces& paces) const {
  const Pace& pace = pace_of(cell.probe, paces);
  const double rate = pace.evaluation_images_per_second;
  double seconds = pace.start_seconds + evaluation(pace);
  if (cell.trains()) {
    seconds += number(cell.command, "--epochs", 1.0) * pace.epoch_seconds + pace.further_seconds;
  } else {
    seconds += (2.0 * test_images_ + calibration_images) / rate;
  }
  if (!cell.trains() || quantizes(cell.command)) {
    seconds += pace.start_seconds * test_share_ + analysis_images / rate;
  }
  return seconds;
}

GridEstimate GridProbe::measure(const Arrangement& arrangement) const {
  Paces paces;
  for (const Configuration& configuration : configurations_) {
    Arguments command = configuration.command;
    command.insert(command.end(), left_.data.begin(), left_.data.end());
    paces[configuration.key] = probe(command, arrangement);
  }
  const int processes = arrangement.side_by_side;
  GridEstimate estimate;
  if (configurations_.empty()) return estimate;
  estimate.images_per_second = processes * paces.at(configurations_.front().key).images_per_second;
  for (const auto& [key, pace] : paces) {
    estimate.peak_mb = std::max(estimate.peak_mb, processes * pace.peak_mb);
  }
  const auto add = [&](const auto& runs) {
    double sum = 0.0, longest = 0.0;
    for (const auto& run : runs) {
      const double seconds = seconds_of(run, paces);
      sum += seconds;
      longest = std::max(longest, seconds);
    }
    estimate.seconds += std::max(sum / processes, longest);
  };
  add(left_.starts);  // all before the first cell
  add(left_.cells);
  return estimate;
}

namespace {

int number_of(const std::string& jobs) {
  int number = 0;
  const char* const last = jobs.data() + jobs.size();
  const auto [end, error] = std::from_chars(jobs.data(), last, number);
  PERCH_CHECK(error == std::errc() && end == last && number >= 1 && number <= 1024,
              "--jobs is {}, must be auto or a number from 1 to 1024", jobs);
  return number;
}

/// Nothing, and a warning, where it cannot be measured.
std::optional<GridEstimate> try_measure(const GridProbe& probe, const Arrangement& arrangement) {
  try {
    return probe.measure(arrangement);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    warn(fmt::format("cannot time {} at once: {}", arrangement.side_by_side, error.what()));
    return std::nullopt;
  }
}

/// As many as there are cores, or as memory holds.
int most_side_by_side(std::size_t cells, const GridEstimate& one) {
  int count = static_cast<int>(std::min(cells, static_cast<std::size_t>(thread_count())));
  if (const auto free = available_memory_mb(); free && one.peak_mb > 0.0) {
    count = std::min(count, static_cast<int>(*free / one.peak_mb));
  }
  return count;
}

}  // namespace

void check_jobs(const std::string& jobs) {
  if (jobs != "auto") number_of(jobs);
}

Way choose_way(const std::string& jobs, const GridProbe& probe, std::size_t cells, bool wanted) {
  const int cores = thread_count();
  Way way{.arrangement = {1, cores}};
  if (jobs != "auto") {
    const int count = number_of(jobs);
    way.arrangement = {count, std::max(1, cores / count)};
  }
  if (cells == 0) {
    way.estimate = GridEstimate{};
    return way;
  }
  if (jobs != "auto" || cells == 1 || cores == 1) {
    if (wanted) way.estimate = try_measure(probe, way.arrangement);
    return way;
  }
  way.one_by_one = way.estimate = try_measure(probe, way.arrangement);
  if (!way.one_by_one) return way;
  const int count = most_side_by_side(cells, *way.one_by_one);
  if (count < 2) return way;
  const Arrangement shared{count, std::max(1, cores / count)};
  way.side_by_side = try_measure(probe, shared);
  if (way.side_by_side && way.one_by_one->seconds >= worth_it * way.side_by_side->seconds) {
    way.arrangement = shared;
    way.estimate = way.side_by_side;
  }
  return way;
}
