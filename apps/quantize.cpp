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
#include <perch/io/keras.h>
#include <perch/ptq/ptq.h>
#include <perch/train/trainer.h>

#include "commands.h"
#include "config.h"
#include "data_flags.h"
#include "flags.h"
#include "model_file.h"
#include "model_name.h"
#include "process.h"
#include "quantize_flags.h"
#include "run_record.h"
#include "run_settings.h"

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
  RunFlags run;
};

void check(const PtqFlags& flags) {
  flags.run.check();
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

PtqOptions options_of(const PtqFlags& flags, std::int64_t available, RunRecord& record,
                      Output& output) {
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
  adaround.on_layer = [&flags, &record, &output](const AdaRoundLayer& layer) {
    output.event({{"event", "adaround"},
                  {"layer", layer.name},
                  {"nearest", layer.nearest},
                  {"chosen", layer.chosen},
                  {"moved", layer.moved}});
    const std::string line = fmt::format("{}: squared error {:.4g}, {:.4g} rounded to the nearest",
                                         layer.name, layer.chosen, layer.nearest);
    record.log(line);
    if (!flags.quiet) fmt::print(stderr, "{}\n", line);
  };
  return options;
}

/// What the command line leaves open, as it was in effect.
std::vector<io::RunSetting> resolved(const PtqFlags& flags, const std::string& stem,
                                     InputScale scale, const PtqOptions& options) {
  auto settings = common_settings(stem, scale, flags.quantize);
  settings.push_back({"calibrate", options.calibrate.images});
  if (options.adaround) {
    settings.push_back({"adaround_iterations", options.adaround->iterations});
  }
  return settings;
}

void report(const fs::path& file, const PtqFlags& flags, const std::string& run,
            const PtqReport& done, const std::optional<Evaluation>& before,
            const std::optional<Evaluation>& after, double seconds, Output& output) {
  Json event = {{"event", "result"}, {"model", file.string()}, {"name", file.stem().string()}};
  if (!run.empty()) event["run"] = run;
  std::string text = file.stem().string() + "\n";
  if (before && after) {
    event["float_test_accuracy"] = before->accuracy;
    event["test_accuracy"] = after->accuracy;
    text += fmt::format("  test        accuracy {:.2f} %, float {:.2f} %\n", 100 * after->accuracy,
                        100 * before->accuracy);
  }
  event["seconds"] = seconds;
  event["peak_rss_mb"] = peak_rss_mb();
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
  if (!run.empty()) text += fmt::format("run:   {}\n", run);
  output.text(text);
}

void quantize(const PtqFlags& flags, RunRecord& record, Output& output) {
  const auto start = std::chrono::steady_clock::now();
  check(flags);
  const std::string stem = stem_of(flags);
  const fs::path file = fs::path(flags.save) / (model_name(stem, flags.quantize) + ".h5");
  check_writable(file);
  flags.compute.use();
  const auto model = open_float_model(flags.model);
  const InputScale scale = flags.scale.value(remembered_scale(flags.model));
  TrainTest data = flags.data.load();
  data.train = flags.scale.apply(data.train, scale);
  if (data.test.size() > 0) data.test = flags.scale.apply(data.test, scale);
  check_fits(*model, data.train);
  check_fits(*model, data.test);

  const PtqOptions options = options_of(flags, data.train.size(), record, output);
  record.begin(flags.run.parent(flags.save),
               {.name = stem, .resolved = resolved(flags, stem, scale, options), .data = data});
  Trainer trainer(*model, Adam(), loss_for(*model));
  flags.compute.apply(trainer);
  std::optional<Evaluation> before, after;
  if (data.test.size() > 0) before = trainer.evaluate(data.test);
  const PtqReport done =
      quantize_after_training(*model, flags.quantize.rules(), data.train, options);
  save_model(*model, file, remember_scale(scale));
  if (data.test.size() > 0) after = trainer.evaluate(data.test);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  record.end(file, after, seconds.count(), before);
  report(file, flags, record.path(), done, before, after, seconds.count(), output);
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
  flags->run.add_to(*app);
  flags->compute.add_to(*app);
  app->add_flag("--quiet", flags->quiet, "No line for each layer");
  flags->quantize.add_to(*app, QuantizeFlags::Use::train);
  const auto config = std::make_shared<Config>(*app);
  config->add_to_command_line();
  const auto run = [flags, app](Output& output) {
    RunRecord record(*app);
    record.watch([&] { quantize(*flags, record, output); });
  };
  return {app, run, [flags] { check(*flags); }, config, true};
}
