// What `perch compare` is told: an experiment's file, or a network and flags; flags go before the
// file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/experiments/command.h>
#include <perch/experiments/experiment.h>

namespace CLI {
class App;
}
class Config;

/// The options of train and quantize that settings may name, from their command lines.
perch::experiments::Vocabulary vocabulary_of_commands();

class CompareFlags {
 public:
  void add_to(CLI::App& app);

  /// Throws as experiments::check() does, and for a value that cannot be read.
  perch::experiments::Experiment experiment(const perch::experiments::Vocabulary& vocabulary) const;

  std::string out, data, jobs = "auto";  ///< data: folder of the images; empty: the usual one
  bool dry_run = false, yes = false, quiet = false;
  std::shared_ptr<Config> config() const { return config_; }
  /// Says which settings of the file are not of a comparison, such as a run's seed and folder.
  void warn_of_unused(const perch::experiments::Vocabulary& vocabulary) const;

 private:
  bool is_file() const;
  void take_model(perch::experiments::Experiment& experiment) const;

  std::string what_, question_, methods_, quantizers_, granularities_, weight_bits_,
      activation_bits_, symmetries_, ranges_;
  std::vector<std::string> grid_;
  std::shared_ptr<Config> config_;
  std::optional<std::int64_t> seeds_, first_seed_, epochs_, float_epochs_;
};
