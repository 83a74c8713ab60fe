// Files of quantization rules that an experiment's settings name: quant_config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/experiments/command.h>
#include <perch/experiments/experiment.h>
#include <perch/layers/model.h>

class RuleFiles {
 public:
  /// Reads them, and puts their stems in the place of their paths: labels and the report speak of
  /// those. Throws Error(missing_input), Error(bad_data) with file and line for what is no file of
  /// rules, and Error(usage) for two files with one stem.
  explicit RuleFiles(perch::experiments::Experiment& experiment);

  /// Commands with stems for files, as they find the files where the user has them, and in the
  /// experiment's folder: `quant_configs/DIGEST/STEM.toml`, which only their content decides.
  perch::experiments::Arguments given(perch::experiments::Arguments command) const;
  perch::experiments::Arguments stored(perch::experiments::Arguments command) const;

  /// Throws Error(usage) for a rule that does not fit the model, which has to be built, naming file
  /// and line.
  void check_fit(const perch::Model& model) const;
  /// Puts copies into the experiment's folder. Throws Error(cannot_create), Error(io).
  void copy_to(const std::filesystem::path& folder) const;

 private:
  struct File {
    std::string stem;
    std::filesystem::path source, place;
  };
  void take(std::string& value);
  const File& of(const std::string& stem) const;
  std::vector<File> files_;
};
