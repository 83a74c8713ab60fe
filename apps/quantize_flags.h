// The flags that say how a model's convolutions are quantized, shared by train (which applies them)
// and by the commands that read files of tfmot (which do not store them).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/io/keras.h>
#include <perch/io/run_config.h>
#include <perch/quant/rules.h>
#include <perch/train/trainer.h>

#include "schedule_flags.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

class QuantizeFlags {
 public:
  enum class Use { train, read };
  void add_to(CLI::App& app, Use use);

  /// Names of the flags that are on the command line.
  std::vector<std::string> given() const;
  /// Those of them that say how training goes and not what is quantized how.
  std::vector<std::string> given_for_training() const;
  /// Throws Error(usage) for an unknown quantizer, flags that exclude each other, a combination
  /// that no quantizer has, and flags that are without effect.
  void check() const;

  /// False with --quantizer none.
  bool quantizes() const;
  /// Those of --quant-config. Else as the original script wraps Conv2D and DepthwiseConv2D: kernel
  /// with the chosen quantizer, activation per tensor, by default with an asymmetric, full-range
  /// moving average.
  perch::QuantRules rules() const;
  /// The same for the wrapper classes in the original script's files.
  perch::io::LoadOptions load_options() const;
  /// "8wbits_8abits_asym_full_perch_AV", or "float"; an activation quantizer that is not the
  /// default's is named at the end. The stem of --quant-config's file.
  std::string tag() const;
  /// With what is said about the quantizers' course in training.
  perch::FitOptions schedule(const perch::Optimizer& optimizer, perch::FitOptions fit) const;
  /// Values that depend on the quantizers, where the flags say them.
  std::vector<perch::io::RunSetting> resolved() const;

 private:
  void add_training_options(CLI::App& app, const std::string& group);
  bool has(const std::string& flag) const;
  perch::QuantSpec weights() const;
  perch::QuantSpec activations() const;
  perch::QuantizeConfig config() const;
  std::string suffix() const;
  void check_combinations() const;
  void check_scheme() const;
  void check_bits_schedule() const;

  std::vector<CLI::Option*> options_;
  Use use_ = Use::train;
  std::string quantizer_ = "all_values", activation_quantizer_ = "moving_average";
  std::string rounding_ = "half_up", fold_, scheme_, quant_config_;
  mutable std::optional<perch::QuantRules> file_rules_;  // of quant_config_, once it was read
  std::optional<int> weight_bits_, activation_bits_;
  ScheduleFlags schedule_;
  std::vector<float> weight_range_, activation_range_;
  std::int64_t group_size_ = 0;
  bool per_tensor_ = false, symmetric_ = false, narrow_range_ = false, observe_only_ = false;
  bool power_of_two_scale_ = false, integer_bias_ = false;
};
