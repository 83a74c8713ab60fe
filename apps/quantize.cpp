// perch quantize: quantizes a trained float model with a few images and no training.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/io/keras.h>
#include <perch/io/model_file.h>
#include <perch/ptq/ptq.h>
#include <perch/quant/wrapper.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "config.h"
#include "data_flags.h"
#include "flags.h"
#include "model_file.h"
#include "model_name.h"
#include "quantize_flags.h"

using namespace perch;
namespace fs = std::filesystem;

namespace {

struct PtqFlags {
  std::string model, name, save = "models";
  std::optional<std::int64_t> images, adaround_iterations;
  bool equalise = false, bias_correction = false, adaround = false, quiet = false;
  TrainingDataFlags data;
  InputScaleFlag scale;
  QuantizeFlags quantize;
  ComputeFlags compute;
};

void check(const PtqFlags& flags) {
  flags.quantize.check();
  PERCH_CHECK(flags.quantize.quantizes(),
              "--quantizer none leaves nothing to quantize; choose a quantizer");
  const std::vector<std::string> of_training = flags.quantize.given_for_training();
  PERCH_CHECK(of_training.empty(), "{} has no effect without training; leave it out",
              of_training.front());
  PERCH_CHECK(!flags.images || *flags.images >= 1, "--calibrate is {}, must be at least 1",
              flags.images.value_or(0));
  PERCH_CHECK(!flags.adaround_iterations || flags.adaround,
              "--adaround-iterations has no effect without --adaround; leave it out");
  PERCH_CHECK(!flags.adaround_iterations || *flags.adaround_iterations >= 1,
              "--adaround-iterations is {}, must be at least 1",
              flags.adaround_iterations.value_or(0));
}

/// "ds_net" of "models/ds_net_float.h5".
std::string stem_of(const PtqFlags& flags) {
  if (!flags.name.empty()) return flags.name;
  const std::string stem = fs::path(flags.model).stem().string();
  constexpr std::string_view ending = "_float";
  return stem.size() > ending.size() && stem.ends_with(ending)
             ? stem.substr(0, stem.size() - ending.size())
             : stem;
}

std::unique_ptr<Model> open_float_model(const std::string& file) {
  auto model = io::load_model(file);
  for (const Model::Node& node : model->nodes()) {
    PERCH_CHECK(!is_quantized(*node.layer), "{} is quantized already; give the float model", file);
  }
  return model;
}

PtqOptions options_of(const PtqFlags& flags, std::int64_t available, Output& output) {
  PERCH_CHECK(flags.images.value_or(1) <= available,
              "--calibrate is {}, there are {} training images; take at most as many",
              flags.images.value_or(0), available);
  PtqOptions options;
  options.calibrate.images = flags.images.value_or(std::min(available, options.calibrate.images));
  if (flags.equalise) options.equalise.emplace();
  options.bias_correction = flags.bias_correction;
  if (!flags.adaround) return options;
  AdaRoundOptions& adaround = options.adaround.emplace();
  adaround.iterations = flags.adaround_iterations.value_or(adaround.iterations);
  adaround.on_layer = [&flags, &output](const AdaRoundLayer& layer) {
    output.event({{"event", "adaround"},
                  {"layer", layer.name},
                  {"nearest", layer.nearest},
                  {"chosen", layer.chosen},
                  {"moved", layer.moved}});
    if (flags.quiet) return;
    fmt::print(stderr, "{}: squared error {:.4g}, {:.4g} rounded to the nearest\n", layer.name,
               layer.chosen, layer.nearest);
  };
  return options;
}

void report(const fs::path& file, const PtqFlags& flags, const PtqReport& done,
            const std::optional<Evaluation>& before, const std::optional<Evaluation>& after,
            double seconds, Output& output) {
  Json event = {{"event", "result"}, {"model", file.string()}, {"name", file.stem().string()}};
  std::string text = file.stem().string() + "\n";
  if (before && after) {
    event["float_test_accuracy"] = before->accuracy;
    event["test_accuracy"] = after->accuracy;
    text += fmt::format("  test        accuracy {:.2f} %, float {:.2f} %\n", 100 * after->accuracy,
                        100 * before->accuracy);
  }
  event["seconds"] = seconds;
  output.event(event);
  if (flags.equalise) {
    text += fmt::format("  equalised   {} pairs of layers, {} behind batch normalisation\n",
                        done.equalisation.pairs.size(), done.equalisation.normalised.size());
  }
  if (flags.adaround) text += fmt::format("  rounded     {} kernels\n", done.adaround.size());
  if (flags.bias_correction) {
    const auto& [corrected, left] = done.bias_correction;
    text += fmt::format("  corrected   {} biases", corrected.size());
    if (!left.empty()) text += fmt::format("; {} has none", fmt::join(left, ", "));
    text += "\n";
  }
  text += fmt::format("  {:.1f} s\nsaved: {}\n", seconds, file.string());
  output.text(text);
}

void quantize(const PtqFlags& flags, Output& output) {
  const InterruptOnSignals signals;
  const auto start = std::chrono::steady_clock::now();
  check(flags);
  const fs::path file = fs::path(flags.save) / (model_name(stem_of(flags), flags.quantize) + ".h5");
  check_writable(file);
  flags.compute.use();
  const auto model = open_float_model(flags.model);
  const InputScale scale = flags.scale.value(remembered_scale(flags.model));
  TrainTest data = flags.data.load();
  data.train = flags.scale.apply(data.train, scale);
  if (data.test.size() > 0) data.test = flags.scale.apply(data.test, scale);
  check_fits(*model, data.train);
  check_fits(*model, data.test);

  Trainer trainer(*model, Adam(), loss_for(*model));
  flags.compute.apply(trainer);
  std::optional<Evaluation> before, after;
  if (data.test.size() > 0) before = trainer.evaluate(data.test);
  const PtqReport done = quantize_after_training(*model, flags.quantize.rules(), data.train,
                                                 options_of(flags, data.train.size(), output));
  io::save_keras(*model, file, {.metadata = remember_scale(scale)});
  if (data.test.size() > 0) after = trainer.evaluate(data.test);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  report(file, flags, done, before, after, seconds.count(), output);
}

}  // namespace

Command add_quantize(CLI::App& parent) {
  auto flags = std::make_shared<PtqFlags>();
  CLI::App* app = parent.add_subcommand("quantize", "Quantize a trained float model");
  app->footer(
      "Example:\n  perch quantize models/ds_net_float.h5 --data datasets/cifar10_mini "
      "--per-tensor --equalise --bias-correction");
  app->add_option("MODEL", flags->model, "Float model's file")->type_name("FLOAT.h5")->required();
  flags->data.add_to(*app);
  flags->scale.add_to(*app, "default: as the model was trained");
  app->add_option("--calibrate", flags->images,
                  "First training images that ranges are taken from; default: 512, or all")
      ->type_name("N");
  app->add_flag("--equalise", flags->equalise,
                "First bring the channels of kernels to one size, which changes no output");
  app->add_flag("--bias-correction", flags->bias_correction,
                "Take back what quantization adds to the mean of each channel");
  app->add_flag("--adaround", flags->adaround,
                "Learn for each weight whether it is rounded up or down");
  app->add_option("--adaround-iterations", flags->adaround_iterations,
                  "Steps for each layer; default: 1000")
      ->type_name("N");
  app->add_option("--save", flags->save, "Folder for the model, made if it is missing")
      ->type_name("DIR")
      ->capture_default_str();
  app->add_option("--name", flags->name,
                  "Begin of the file's name; default: FLOAT's, without _float")
      ->type_name("STEM");
  flags->compute.add_to(*app);
  app->add_flag("--quiet", flags->quiet, "No line for each layer");
  flags->quantize.add_to(*app, QuantizeFlags::Use::train);
  const auto config = std::make_shared<Config>(*app);
  config->add_to_command_line();
  return {app, [flags](Output& output) { quantize(*flags, output); }, [flags] { check(*flags); },
          config};
}
