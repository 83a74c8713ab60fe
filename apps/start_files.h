// Float models that an experiment's cells begin with and that are there already: [float] file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <perch/experiments/experiment.h>
#include <perch/layers/model.h>

class StartFiles {
 public:
  /// Throws Error(missing_input) for a file that is not there.
  explicit StartFiles(const perch::experiments::Experiment& experiment);

  bool any() const { return !files_.empty(); }
  const std::filesystem::path& of(std::int64_t seed) const { return files_.at(seed).path; }
  /// Of the file's content.
  const std::string& digest(std::int64_t seed) const { return files_.at(seed).digest; }
  /// "given", or "s3" where each seed has a file of its own.
  std::string name(std::int64_t seed) const;

  /// Throws Error(bad_data) for a file that is no model and for one whose layers are not those of
  /// the networks, which have to be built and take its weights; Error(usage) for one that is
  /// quantized, or trained on pixels of another scale than the experiment's.
  void check_fit(const perch::experiments::Experiment& experiment,
                 const std::vector<std::unique_ptr<perch::Model>>& networks) const;

 private:
  struct File {
    std::filesystem::path path;
    std::string digest;
  };
  std::map<std::int64_t, File> files_;  // by seed
  bool one_for_all_ = true;
};
