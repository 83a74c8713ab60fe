// perch evaluate: loss and accuracy of a saved model.
#include <algorithm>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/io/atomic_file.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "model_file.h"
#include "model_name.h"
#include "model_run.h"

using namespace perch;

namespace {

struct EvaluateFlags {
  ModelRunFlags run;
  std::string predictions;
};

/// A line for each image.
std::string predictions_csv(const Tensor& outputs, const Dataset& data) {
  std::string text = "index,label,predicted\n";
  const auto classes = static_cast<std::size_t>(outputs.shape()[1]);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const auto row = outputs.values().subspan(static_cast<std::size_t>(i) * classes, classes);
    text +=
        fmt::format("{},{},{}\n", i, data.label(i), std::ranges::max_element(row) - row.begin());
  }
  return text;
}

void evaluate(const EvaluateFlags& flags, Output& output) {
  if (!flags.predictions.empty()) check_writable(flags.predictions);
  const auto [model, data] = open_run(flags.run);
  Trainer trainer(*model, Adam(), loss_for(*model));
  flags.run.compute.apply(trainer);
  const Evaluation result = trainer.evaluate(data, flags.run.batch_size);
  if (!flags.predictions.empty()) {
    const std::string text = predictions_csv(trainer.predict(data, flags.run.batch_size), data);
    io::write_atomically(flags.predictions, text);
  }
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
  flags->run.add_to(*app);
  app->add_option("--predictions", flags->predictions,
                  "Write the class that each image was given: index, label, predicted")
      ->type_name("FILE.csv");
  return {.app = app,
          .run = [flags](Output& output) { evaluate(*flags, output); },
          .heeds_signals = true};
}
