// Model files of either kind, told apart by their names' ends: .h5 (keras.h) and .safetensors.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <perch/io/keras.h>
#include <perch/layers/model.h>

namespace perch::io {

/// Throws what load_keras() or load_safetensors() throws.
std::unique_ptr<Model> load_model(const std::filesystem::path& file,
                                  const LoadOptions& options = {});
/// Throws what save_keras() or save_safetensors() throws; Error(usage) for another end.
void save_model(Model& model, const std::filesystem::path& file,
                const std::map<std::string, std::string>& metadata = {});
/// The caller's notes in it.
std::map<std::string, std::string> model_metadata(const std::filesystem::path& file);

}  // namespace perch::io
