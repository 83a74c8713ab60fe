// Models as safetensors files: perch's own specification and every variable by name.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <perch/layers/model.h>

namespace perch::io {

/// The whole model: tensors "conv2d/kernel", in the metadata the specification (perch_config),
/// counters, the caller's notes (as SaveOptions::metadata of keras.h) and a SHA-256 of all of it.
/// Written as write_atomically() does; throws what that throws.
void save_safetensors(Model& model, const std::filesystem::path& file,
                      const std::map<std::string, std::string>& metadata = {});

/// Throws Error(missing_input / io), Error(bad_data) naming the file and what does not fit.
std::unique_ptr<Model> load_safetensors(const std::filesystem::path& file);

/// The caller's notes. Throws as load_safetensors() does.
std::map<std::string, std::string> safetensors_metadata(const std::filesystem::path& file);

}  // namespace perch::io
