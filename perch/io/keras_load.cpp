#include <utility>

#include <perch/core/check.h>
#include <perch/io/keras.h>
#include <perch/io/keras_model.h>
#include <perch/io/perch_config.h>
#include <perch/io/reading.h>

namespace perch::io {

namespace {

Skeleton read_skeleton(const H5Group& root, const std::vector<FileLayer>& layers,
                       const LoadOptions& options) {
  if (root.has_attribute(perch_config_attribute)) {
    return model_from_perch(root.text(perch_config_attribute), root.file());
  }
  if (!root.has_attribute("model_config")) {
    fail(ErrorCode::bad_data,
         "{}: holds weights only (save_weights), not the architecture: perch convert --into MODEL "
         "puts them into a model (in C++: load_weights)",
         root.file());
  }
  const std::string where = root.file() + ": model_config";
  const Json config = parse_json(root.text("model_config"), where);
  return model_from_keras(config, layers, {options, where});
}

}  // namespace

std::unique_ptr<Model> load_keras(const std::filesystem::path& file, const LoadOptions& options) {
  return reading(file, [&] {
    const H5Group root = H5Group::open(file);
    std::vector<FileLayer> layers = read_layers(root);
    Skeleton skeleton = read_skeleton(root, layers, options);
    build_checked(skeleton, find_in(layers), root.file());
    restore_layers(*skeleton.model, std::move(layers), root.file());
    return std::move(skeleton.model);
  });
}

bool holds_quantizers(const std::filesystem::path& file) {
  bool result = false;
  reading(file, [&] { result = has_quantizer_state(H5Group::open(file)); });
  return result;
}

void load_weights(Model& model, const std::filesystem::path& file) {
  PERCH_CHECK(model.built(), "{}: weights go into a built model; build() it first", file.string());
  reading(file, [&] { restore_layers(model, read_layers(H5Group::open(file)), file.string()); });
}

}  // namespace perch::io
