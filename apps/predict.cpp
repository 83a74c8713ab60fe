// perch predict: the class of each image.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "model_file.h"
#include "model_run.h"

using namespace perch;

namespace {

struct PredictFlags {
  ModelRunFlags run;
  std::optional<std::int64_t> limit;
};

double probability_of(std::span<const float> outputs, std::size_t index, bool softmax) {
  if (softmax) return outputs[index];
  double sum = 0.0;
  for (float logit : outputs) sum += std::exp(static_cast<double>(logit) - outputs[index]);
  return 1.0 / sum;
}

void predict(const PredictFlags& flags, Output& output) {
  PERCH_CHECK(!flags.limit || *flags.limit >= 1, "--limit is {}, must be at least 1", *flags.limit);
  auto [model, data] = open_run(flags.run);
  if (flags.limit) data = data.subset(0, std::min(*flags.limit, data.size()));

  const auto names = flags.run.data.class_names();
  const auto name_of = [&](std::size_t index) {
    return index < names.size() ? names[index] : std::to_string(index);
  };
  const bool softmax = ends_in_softmax(*model);
  Trainer trainer(*model, Adam(), loss_for(*model));
  flags.run.compute.apply(trainer);
  const Tensor outputs = trainer.predict(data, flags.run.batch_size);
  const auto classes = static_cast<std::size_t>(model->output_shape().size());
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const auto row = outputs.values().subspan(static_cast<std::size_t>(i) * classes, classes);
    const auto best =
        static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    const double probability = probability_of(row, best, softmax);
    output.event({{"event", "prediction"},
                  {"index", i},
                  {"label", data.label(i)},
                  {"class", best},
                  {"class_name", best < names.size() ? Json(names[best]) : Json(nullptr)},
                  {"probability", probability},
                  {"outputs", std::vector<float>(row.begin(), row.end())}});
    output.text(fmt::format("{:6}  {:<10} {:6.2f} %  (label: {})\n", i, name_of(best),
                            100 * probability, name_of(static_cast<std::size_t>(data.label(i)))));
  }
  output.event({{"event", "result"}, {"count", data.size()}});
}

}  // namespace

Command add_predict(CLI::App& parent) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* app = parent.add_subcommand("predict", "The class of each image by a saved model");
  app->footer(
      "Example:\n  perch predict models/temp_net_8wbits_8abits_asym_full_perch_AV.h5 --data "
      "datasets/cifar10_mini --limit 10");
  flags->run.add_to(*app);
  app->add_option("--limit", flags->limit, "Only the first N images")->type_name("N");
  return {.app = app,
          .run = [flags](Output& output) { predict(*flags, output); },
          .heeds_signals = true};
}
