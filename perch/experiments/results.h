// What came of an experiment's cells, as they are kept in its folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <perch/experiments/experiment.h>

namespace perch::experiments {

struct EpochRecord {
  double loss, accuracy;
  std::optional<double> val_loss, val_accuracy, oscillating;
  /// Shares of the quantized weights outside of their range: of all, and by layer.
  std::optional<double> clipped = std::nullopt;
  std::vector<std::pair<std::string, double>> clipped_layers = {};
};

/// A quantized layer, as `perch analyze` tells of it. What earlier results lack is none.
struct LayerRecord {
  std::string name, kind;
  std::optional<double> weight_sqnr_db, activation_sqnr_db, clipped, activation_clipped;
  struct Range {
    double min, max, scale;
  };
  std::vector<Range> ranges;  ///< of its kernel: one, or one per channel
  /// Of its kernel's weights, in bins of one width from the smallest to the largest.
  struct Histogram {
    double low = 0.0, high = 0.0;
    std::vector<std::int64_t> counts = {};
    std::vector<std::int64_t> level_counts = {};  ///< weights on each level; none above 256 levels
  };
  std::optional<Histogram> histogram;
};

struct CellResult {
  std::string id;
  Cell cell;
  std::string command;                   ///< that can be run again, from the experiment's folder
  std::string failure;                   ///< why there is no accuracy; empty: there is one
  double accuracy = 0.0;                 ///< of the test images, after the last epoch
  std::optional<double> start_accuracy;  ///< of the float model that it began with
  std::vector<EpochRecord> epochs;
  std::vector<LayerRecord> layers;
  std::string model;  ///< file, within the folder
  std::int64_t model_bytes = 0;
  // These differ from run to run.
  std::string run;  ///< folder of its training, within the experiment's; empty: none
  double seconds = 0.0, images_per_second = 0.0, peak_rss_mb = 0.0;

  bool failed() const { return !failure.empty(); }
  /// Of each test image, whether it was told right.
  std::vector<bool> right;
};

/// What everything was made with.
struct Provenance {
  std::string version, cpu, instruction_set, compiler, command, data;
  std::string data_checksum;
  std::int64_t train_images = 0, test_images = 0;
  int threads = 0, side_by_side = 1;
  /// Trained by all processes together; 0 where it was not measured which way is faster.
  double images_per_second_one_by_one = 0.0, images_per_second_side_by_side = 0.0;
};

struct Results {
  Experiment experiment;
  Provenance provenance;
  std::vector<CellResult> cells;  ///< in cells_of()'s order; those that have not run are left out
  std::int64_t all_cells = 0;
};

/// "index,label,predicted" and a line for each image, as `perch evaluate --predictions` writes it.
/// Throws Error(missing_input), Error(bad_data).
std::vector<bool> read_predictions(const std::filesystem::path& file);

}  // namespace perch::experiments
