#include <algorithm>
#include <cmath>
#include <numbers>

#include <perch/core/suggest.h>
#include <perch/optim/schedule.h>

namespace perch {

double Schedule::factor(std::int64_t step, std::int64_t total) const {
  if (step < warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  if (kind == Kind::step) {
    double result = 1.0;
    for (const double share : step_at) {
      if (static_cast<double>(step) >= share * static_cast<double>(total)) result *= step_factor;
    }
    return result;
  }
  if (kind == Kind::cosine) {
    const auto length = static_cast<double>(std::max<std::int64_t>(total - warmup_steps, 1));
    const double t = std::min(static_cast<double>(step - warmup_steps) / length, 1.0);
    return 0.5 * (1.0 + std::cos(std::numbers::pi * t));
  }
  return 1.0;
}

Schedule::Kind schedule_kind(const std::string& name) {
  return static_cast<Schedule::Kind>(index_of("schedule", name, schedule_names()));
}

std::string schedule_name(Schedule::Kind kind) {
  return schedule_names()[static_cast<std::size_t>(kind)];
}

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names{"constant", "step", "cosine"};
  return names;
}

}  // namespace perch
