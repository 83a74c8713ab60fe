// perch evaluate: loss and accuracy of a saved model.
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/train/trainer.h>

#include "commands.h"
#include "model_file.h"
#include "model_run.h"

using namespace perch;

namespace {

void evaluate(const ModelRunFlags& flags, Output& output) {
  const auto [model, data] = open_run(flags);
  Trainer trainer(*model, Adam(), loss_for(*model));
  flags.compute.apply(trainer);
  const Evaluation result = trainer.evaluate(data, flags.batch_size);
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
  auto flags = std::make_shared<ModelRunFlags>();
  CLI::App* app = parent.add_subcommand("evaluate", "Loss and accuracy of a saved model");
  app->footer(
      "Example:\n  perch evaluate models/temp_net_8wbits_8abits_asym_full_perch_AV.h5 --data "
      "datasets/cifar10_mini");
  flags->add_to(*app);
  return {app, [flags](Output& output) { evaluate(*flags, output); }};
}
