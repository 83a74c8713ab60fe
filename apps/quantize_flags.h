// The flags that say how a model's convolutions are quantized, shared by train (which applies them)
// and by the commands that read files of tfmot (which do not store them).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/io/keras.h>
#include <perch/quant/config.h>

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
  /// Throws Error(usage) for an unknown quantizer, flags that exclude each other, bits outside
  /// 2..16, and flags that --quantizer none leaves without effect.
  void check() const;

  /// False with --quantizer none.
  bool quantizes() const;
  /// As the original script wraps Conv2D and DepthwiseConv2D: kernel with the chosen quantizer,
  /// activation with a per-tensor, asymmetric, full-range moving average.
  perch::QuantizeConfig config() const;
  /// The same for the wrapper classes in the original script's files.
  perch::io::LoadOptions load_options() const;
  /// "8wbits_8abits_asym_full_perch_AV", or "float".
  std::string tag() const;

 private:
  bool has(const std::string& flag) const;

  std::vector<CLI::Option*> options_;
  Use use_ = Use::train;
  std::string quantizer_ = "all_values";
  int weight_bits_ = 8, activation_bits_ = 8;
  bool per_tensor_ = false, symmetric_ = false, narrow_range_ = false, observe_only_ = false;
};
