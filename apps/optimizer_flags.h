// The flags of how train takes its steps: optimizer, schedule and clipping.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/io/run_config.h>
#include <perch/optim/optimizers.h>
#include <perch/optim/schedule.h>

namespace CLI {
class App;
}

class OptimizerFlags {
 public:
  void add_to(CLI::App& app);
  /// Throws Error(usage) for an unknown name, a number out of range and what has no effect.
  void check() const;
  /// Throws Error(usage) for a value out of range and for a flag that the optimizer has no use for.
  std::unique_ptr<perch::Optimizer> make() const;
  perch::Schedule schedule() const;
  /// Values that depend on the optimizer.
  std::vector<perch::io::RunSetting> resolved() const;
  float clip_norm() const { return clip_norm_.value_or(0.0f); }

 private:
  std::string optimizer_ = "adam", schedule_ = "constant";
  float learning_rate_ = 0.001f;
  std::int64_t warmup_ = 0;
  static constexpr float adamw_decay = 0.004f;
  std::optional<float> momentum_, weight_decay_, clip_norm_;
};
