// How long a grid will take and with how much memory, and whether its cells go one after another
// or side by side: from a few steps of its own trainings.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cell_runs.h"
#include "probe.h"

struct GridEstimate {
  double seconds = 0.0, peak_mb = 0.0;  ///< of the whole grid, of all processes at a time
  double images_per_second = 0.0;       ///< trained by all processes together, of the first cell
};

class GridProbe {
 public:
  /// `left` has the cells and starts that are to run, and is borrowed. Images are those of a pass.
  GridProbe(const GridPlan& left, std::int64_t train_images, std::int64_t test_images);

  /// Measures a training of each network in the grid, float and quantized, by processes that run
  /// side by side in that number, at the same time. Throws what probe() throws.
  GridEstimate measure(const Arrangement& arrangement) const;

 private:
  using Paces = std::map<std::string, Pace>;
  struct Configuration {
    std::string key;
    perch::experiments::Arguments command;
  };

  void note(const perch::experiments::Arguments& command);
  const Pace& pace_of(const perch::experiments::Arguments& command, const Paces& paces) const;
  double evaluation(const Pace& pace) const;
  double seconds_of(const StartPlan& start, const Paces& paces) const;
  double seconds_of(const CellPlan& cell, const Paces& paces) const;

  const GridPlan& left_;
  double test_images_, test_share_;
  std::vector<Configuration> configurations_;
};

/// What was chosen, and why.
struct Way {
  Arrangement arrangement;
  std::optional<GridEstimate> estimate = {};  ///< of it; none where nothing was measured
  /// Both, where they were measured to choose.
  std::optional<GridEstimate> one_by_one = {}, side_by_side = {};
};

/// Throws Error(usage) unless `jobs` is "auto" or a number from 1 to 1024.
void check_jobs(const std::string& jobs);

/// `jobs` is "auto" or a number from 1 to 1024, else Error(usage). With "auto", and cells that wait
/// for it, both ways are measured, and cells go side by side where that promises a tenth more. With
/// a number, or nothing to choose, nothing is measured unless an estimate is `wanted`. A
/// measurement that fails is a warning, and the way one that needs none.
Way choose_way(const std::string& jobs, const GridProbe& probe, std::size_t cells, bool wanted);
