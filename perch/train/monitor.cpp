#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/train/monitor.h>

namespace perch {
namespace {

std::optional<double> value_of(const std::string& name, const EpochResult& result) {
  if (name == "loss") return result.loss;
  if (name == "accuracy") return result.accuracy;
  return name == "val_loss" ? result.val_loss : result.val_accuracy;
}

}  // namespace

const std::vector<std::string>& monitor_names() {
  static const std::vector<std::string> names{"loss", "accuracy", "val_loss", "val_accuracy"};
  return names;
}

Monitor::Monitor(std::string owner, std::string name, double min_delta)
    : owner_(std::move(owner)), name_(std::move(name)), min_delta_(min_delta) {
  PERCH_CHECK(std::ranges::find(monitor_names(), name_) != monitor_names().end(),
              "{}: nothing called '{}' to monitor; one of {}", owner_, name_,
              choices(name_, monitor_names()));
  PERCH_CHECK(std::isfinite(min_delta) && min_delta >= 0.0,
              "{}: min_delta {} must be a finite number, 0 or more", owner_, min_delta);
}

void Monitor::begin(const TrainPlan& plan) {
  PERCH_CHECK(!name_.starts_with("val_") || plan.val_images > 0,
              "{}: '{}' needs validation images; set validation_split above 0 or monitor '{}'",
              owner_, name_, name_.substr(4));
  best_.reset();
}

void Monitor::visit(Visitor& visitor) {
  // As text, which keeps every bit.
  std::string best = best_ ? fmt::format("{}", *best_) : std::string();
  visitor.config("best", best);
  best_.reset();
  if (best.empty()) return;
  double value = 0.0;
  const auto [rest, error] = std::from_chars(best.data(), best.data() + best.size(), value);
  if (error != std::errc() || rest != best.data() + best.size()) {
    fail(ErrorCode::bad_data, "{}: the best so far is '{}', which is no number", owner_, best);
  }
  best_ = value;
}

bool Monitor::improves(const EpochResult& result) {
  const std::optional<double> value = value_of(name_, result);
  if (!value || std::isnan(*value)) return false;
  const bool upwards = name_.ends_with("accuracy");
  if (best_ && !(upwards ? *value > *best_ + min_delta_ : *value < *best_ - min_delta_)) {
    return false;
  }
  best_ = value;
  return true;
}

}  // namespace perch
