// perch evaluate: loss and accuracy of a saved model.
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/io/keras.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "data_flags.h"
#include "flags.h"
#include "model_file.h"
#include "quantize_flags.h"

using namespace perch;

namespace {

struct EvaluateFlags {
  std::string model;
  std::int64_t batch_size = 256;
  EvaluationDataFlags data;
  InputScaleFlag scale;
  QuantizeFlags quantize;
  ThreadsFlag threads;
};

void evaluate(const EvaluateFlags& flags, Output& output) {
  flags.threads.use();
  flags.quantize.check();
  const Dataset images = flags.data.load();
  const auto model = open_model(flags.model, flags.quantize);
  const Dataset data = flags.scale.apply(images, remembered_scale(flags.model));
  check_fits(*model, data);
  const Evaluation result =
      Trainer(*model, Adam(), loss_for(*model)).evaluate(data, flags.batch_size);
  output.event({{"event", "result"},
                {"loss", result.loss},
                {"accuracy", result.accuracy},
                {"count", result.count},
                {"images_per_second", result.images_per_second()}});
  output.text(fmt::format("loss {:.4f}, accuracy {:.2f} % of {} images ({:.0f} images/s)\n",
                          result.loss, 100 * result.accuracy, result.count,
                          result.images_per_second()));
}

}  // namespace

Command add_evaluate(CLI::App& parent) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* app = parent.add_subcommand("evaluate", "Loss and accuracy of a saved model");
  app->footer(
      "Example:\n  perch evaluate models/temp_net_8wbits_8abits_asym_full_perch_AV.h5 --data "
      "datasets/cifar10_mini");
  app->add_option("MODEL", flags->model, "Model file")->type_name("FILE.h5")->required();
  flags->data.add_to(*app);
  flags->scale.add_to(*app, "default: as the model was trained");
  app->add_option("--batch-size", flags->batch_size, "Images at a time")
      ->type_name("N")
      ->capture_default_str();
  flags->threads.add_to(*app);
  flags->quantize.add_to(*app, QuantizeFlags::Use::read);
  return {app, [flags](Output& output) { evaluate(*flags, output); }};
}
