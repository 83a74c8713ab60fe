// perch predict: the class of each image.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/io/keras.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "data_flags.h"
#include "flags.h"
#include "model_file.h"
#include "quantize_flags.h"

using namespace perch;

namespace {

struct PredictFlags {
  std::string model;
  std::int64_t batch_size = 256;
  std::optional<std::int64_t> limit;
  EvaluationDataFlags data;
  InputScaleFlag scale;
  QuantizeFlags quantize;
  ThreadsFlag threads;
};

double probability_of(std::span<const float> outputs, std::size_t index, bool softmax) {
  if (softmax) return outputs[index];
  double sum = 0.0;
  for (float logit : outputs) sum += std::exp(static_cast<double>(logit) - outputs[index]);
  return 1.0 / sum;
}

void predict(const PredictFlags& flags, Output& output) {
  PERCH_CHECK(!flags.limit || *flags.limit >= 1, "--limit is {}, must be at least 1", *flags.limit);
  flags.threads.use();
  flags.quantize.check();
  const Dataset images = flags.data.load();
  const auto model = open_model(flags.model, flags.quantize);
  Dataset data = flags.scale.apply(images, remembered_scale(flags.model));
  if (flags.limit) data = data.subset(0, std::min(*flags.limit, data.size()));
  check_fits(*model, data);

  const auto names = flags.data.class_names();
  const auto name_of = [&](std::size_t index) {
    return index < names.size() ? names[index] : std::to_string(index);
  };
  const bool softmax = ends_in_softmax(*model);
  const Tensor outputs = Trainer(*model, Adam(), loss_for(*model)).predict(data, flags.batch_size);
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
  app->add_option("MODEL", flags->model, "Model file")->type_name("FILE.h5")->required();
  flags->data.add_to(*app);
  app->add_option("--limit", flags->limit, "Only the first N images")->type_name("N");
  flags->scale.add_to(*app, "default: as the model was trained");
  app->add_option("--batch-size", flags->batch_size, "Images at a time")
      ->type_name("N")
      ->capture_default_str();
  flags->threads.add_to(*app);
  flags->quantize.add_to(*app, QuantizeFlags::Use::read);
  return {app, [flags](Output& output) { predict(*flags, output); }};
}
