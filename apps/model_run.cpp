#include "model_run.h"

#include <CLI/CLI.hpp>

#include "model_file.h"

using namespace perch;

void ModelRunFlags::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "Model file")->type_name("FILE.h5")->required();
  data.add_to(app);
  scale.add_to(app, "default: as the model was trained");
  app.add_option("--batch-size", batch_size, "Images at a time")
      ->type_name("N")
      ->capture_default_str();
  compute.add_to(app);
  quantize.add_to(app, QuantizeFlags::Use::read);
}

ModelRun open_run(const ModelRunFlags& flags) {
  flags.compute.use();
  flags.quantize.check();
  const Dataset images = flags.data.load();
  auto model = open_model(flags.model, flags.quantize);
  const Dataset data = flags.scale.apply(images, remembered_scale(flags.model));
  check_fits(*model, data);
  return {std::move(model), data};
}
