// A moment of a training, in steps or in epochs.
#pragma once

#include <cstdint>
#include <string>

namespace perch {

class TrainTime {
 public:
  /// After that many optimizer steps.
  TrainTime(std::int64_t steps) : value_(static_cast<double>(steps)) {}
  /// After that many epochs, which may end in a part of one.
  static TrainTime epochs(double count);
  /// "500", "500steps", "2epochs", "0.5epochs". Throws Error(usage) for anything else.
  static TrainTime parse(const std::string& text);

  /// The step, rounded to the nearest, where an epoch has `batches`.
  std::int64_t step(std::int64_t batches) const;
  /// As parse() reads it.
  std::string text() const;

 private:
  double value_;
  bool epochs_ = false;
};

}  // namespace perch
