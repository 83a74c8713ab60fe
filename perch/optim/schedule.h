// Learning-rate schedules: a factor for each training step.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace perch {

struct Schedule {
  enum class Kind { constant, step, cosine };
  Kind kind = Kind::constant;
  std::int64_t warmup_steps = 0;  ///< linear from 1 / warmup_steps to 1 at first
  double step_factor = 0.1;       ///< step: multiplied in at each of step_at
  /// step: shares of all steps at which the rate drops.
  std::array<double, 2> step_at{0.5, 0.75};

  /// Factor of the learning rate in step `step` of `total`. cosine: (1 + cos(pi t)) / 2 after the
  /// warm-up.
  double factor(std::int64_t step, std::int64_t total) const;
};

/// "constant", "step", "cosine". Throws Error(usage) naming the nearest.
Schedule::Kind schedule_kind(const std::string& name);
std::string schedule_name(Schedule::Kind kind);
const std::vector<std::string>& schedule_names();

}  // namespace perch
