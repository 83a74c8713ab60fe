// Monitor: which of an epoch's numbers decides what is best.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/train/callback.h>

namespace perch {

/// Losses improve downwards, accuracies upwards.
class Monitor {
 public:
  /// Throws Error(usage) for a name other than those of monitor_names(), with the nearest, and for
  /// a negative or non-finite min_delta. `owner` opens the messages.
  Monitor(std::string owner, std::string name, double min_delta = 0.0);

  /// Forgets the best. Throws Error(usage) for a val_ name without validation images.
  void begin(const TrainPlan& plan);
  /// True when the epoch's value is better than the best so far by more than min_delta: it is the
  /// best then. Never for a value that is not a number.
  bool improves(const EpochResult& result);
  /// The best so far.
  void visit(Visitor& visitor);

 private:
  std::string owner_, name_;
  double min_delta_;
  std::optional<double> best_;
};

const std::vector<std::string>& monitor_names();

}  // namespace perch
