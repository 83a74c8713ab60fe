// Flags of train that say when quantizers act and how their ranges learn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/quant/rules.h>
#include <perch/train/oscillation.h>
#include <perch/train/quantization_schedule.h>
#include <perch/train/trainer.h>

namespace CLI {
class App;
class Option;
}  // namespace CLI

/// True where a range is a weight of the model, as LSQ's.
bool trains_ranges(const perch::QuantRules& rules);

class ScheduleFlags {
 public:
  void add_to(CLI::App& app, const std::string& group);

  /// Names of the flags that are on the command line.
  std::vector<std::string> given() const;
  /// Of --bits-schedule; empty without it.
  const std::vector<int>& bits() const { return bits_; }
  /// Throws Error(usage) for values that mean nothing, and for rates of ranges that nobody trains.
  void check(const perch::QuantRules& rules) const;
  /// With the callbacks and rates for a model that these rules quantize.
  perch::FitOptions apply(const perch::QuantRules& rules, const perch::Optimizer& optimizer,
                          perch::FitOptions fit) const;

 private:
  bool any(const std::vector<std::string>& flags) const;
  perch::QuantizationSchedule schedule(double epochs) const;

  std::vector<CLI::Option*> options_;
  std::string activations_from_, full_from_, ranges_until_, batch_norm_until_;
  std::vector<int> bits_;
  perch::OscillationOptions oscillation_;
  std::optional<float> range_rate_factor_, range_weight_decay_;
};
