// Models as Keras-layout HDF5 files.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <perch/layers/model.h>
#include <perch/quant/config.h>
#include <perch/train/callback.h>

namespace perch {
class Optimizer;
}

namespace perch::io {

struct SaveOptions {
  /// Its state is saved too, so that Keras can go on training.
  const Optimizer* optimizer = nullptr;
  /// The caller's own notes, kept in the root attribute perch_metadata (JSON, string to string),
  /// for instance "input_scale": "raw". No attribute when empty.
  std::map<std::string, std::string> metadata = {};
};

/// Writes the whole model: Keras's groups and attributes, and perch's full specification as JSON in
/// the root attribute perch_config. Missing folders are made. To a temporary file beside it first;
/// an existing file stays until the new one is complete. Throws Error(cannot_create / io).
void save_keras(Model& model, const std::filesystem::path& file, const SaveOptions& options = {});

/// Saves the model and the optimizer's state after each epoch in which the monitored value (loss,
/// accuracy, val_loss, val_accuracy) is the best so far.
CallbackPtr best_model(std::filesystem::path file, std::string monitor = "val_loss");

struct LoadOptions {
  /// Needed for files of tfmot whose wrappers do not say their bits: configuration by class name
  /// ("ConvQuantizer") or by layer name.
  std::map<std::string, QuantizeConfig> quantize_configs = {};
};

/// A model from the file alone. Throws Error(missing_input / bad_data) naming file and part: not
/// HDF5, truncated, an unknown layer, a missing or misshapen dataset, a wrapper whose configuration
/// is neither in the file nor in the options.
std::unique_ptr<Model> load_keras(const std::filesystem::path& file,
                                  const LoadOptions& options = {});

/// What SaveOptions::metadata was; empty for a file without it. Throws as load_keras does.
std::map<std::string, std::string> read_metadata(const std::filesystem::path& file);

/// Weights (and whatever state both have) from a file into a built model, by layer order and last
/// path component. From a float file into a quantized model too: ranges keep their values then.
/// Throws Error(bad_data) naming the first layer that does not fit; nothing is changed then.
void load_weights(Model& model, const std::filesystem::path& file);

/// Whether a file's variables include quantizers'. Throws as load_weights does.
bool holds_quantizers(const std::filesystem::path& file);

}  // namespace perch::io
