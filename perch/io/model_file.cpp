#include <perch/core/check.h>
#include <perch/io/model_file.h>
#include <perch/io/safetensors_model.h>

namespace perch::io {
namespace {

bool is_safetensors(const std::filesystem::path& file) {
  return file.extension() == ".safetensors";
}

}  // namespace

std::unique_ptr<Model> load_model(const std::filesystem::path& file, const LoadOptions& options) {
  return is_safetensors(file) ? load_safetensors(file) : load_keras(file, options);
}

void save_model(Model& model, const std::filesystem::path& file,
                const std::map<std::string, std::string>& metadata) {
  if (is_safetensors(file)) return save_safetensors(model, file, metadata);
  PERCH_CHECK(file.extension() == ".h5",
              "{}: a model's file is called .h5 or .safetensors; choose one of the two",
              file.string());
  save_keras(model, file, {.metadata = metadata});
}

std::map<std::string, std::string> model_metadata(const std::filesystem::path& file) {
  return is_safetensors(file) ? safetensors_metadata(file) : read_metadata(file);
}

}  // namespace perch::io
