#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/train/train_time.h>

namespace perch {

TrainTime TrainTime::epochs(double count) {
  PERCH_CHECK(std::isfinite(count) && count >= 0.0,
              "{} epochs: a moment of the training must not be negative", count);
  TrainTime result(0);
  result.value_ = count;
  result.epochs_ = true;
  return result;
}

TrainTime TrainTime::parse(const std::string& text) {
  double value = 0.0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  const bool epochs = unit == "epochs" || unit == "epoch";
  const bool steps = unit.empty() || unit == "steps" || unit == "step";
  const bool whole = value == std::floor(value) && value < 9e15;
  PERCH_CHECK(
      error == std::errc() && std::isfinite(value) && value >= 0.0 && (epochs || (steps && whole)),
      "\"{}\" is no moment of a training; give a step, as 500, or epochs, as 2epochs or "
      "0.5epochs",
      text);
  return epochs ? TrainTime::epochs(value) : TrainTime(static_cast<std::int64_t>(value));
}

std::int64_t TrainTime::step(std::int64_t batches) const {
  return static_cast<std::int64_t>(
      std::llround(epochs_ ? value_ * static_cast<double>(batches) : value_));
}

std::string TrainTime::text() const {
  return epochs_ ? fmt::format("{}epochs", value_) : fmt::format("{:.0f}", value_);
}

}  // namespace perch
