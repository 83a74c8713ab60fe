#include <utility>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/keras.h>
#include <perch/io/keras_model.h>
#include <perch/io/keras_optimizer.h>
#include <perch/io/metadata.h>
#include <perch/io/perch_config.h>
#include <perch/train/trainer.h>

namespace perch::io {

void save_keras(Model& model, const std::filesystem::path& file, const SaveOptions& options) {
  PERCH_CHECK(model.built(), "{}: the model is not built, so it has nothing to save; build() it",
              file.string());
  const KerasModel keras = model_to_keras(model);
  H5Writer root = H5Writer::create(file.string());
  write_versions(root);
  root.add_text("model_config", keras.config.dump());
  root.add_text(perch_config_attribute, perch_config(model));
  write_metadata(root, options.metadata);
  H5Writer weights = root.add_group("model_weights");
  write_layers(weights, model, keras.layer_names);
  if (options.optimizer != nullptr) write_optimizer(root, *options.optimizer, model);
  write_atomically(file, root.image());
}

CallbackPtr best_model(std::filesystem::path file, std::string monitor) {
  return on_best(std::move(monitor), [file = std::move(file)](Trainer& trainer) {
    save_keras(trainer.model(), file, {.optimizer = &trainer.optimizer()});
  });
}

}  // namespace perch::io
