// perch train: trains a ready model, quantized or not, and saves it.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/or_null.h>
#include <perch/core/storage.h>
#include <perch/io/keras.h>
#include <perch/io/model_file.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/reestimate.h>
#include <perch/quant/apply.h>
#include <perch/quant/wrapper.h>
#include <perch/train/clipping.h>
#include <perch/train/range_watch.h>
#include <perch/train/trainer.h>

#include "checkpoint_flags.h"
#include "commands.h"
#include "config.h"
#include "data_flags.h"
#include "file_digest.h"
#include "flags.h"
#include "memory_plan.h"
#include "model_file.h"
#include "model_name.h"
#include "optimizer_flags.h"
#include "outcome.h"
#include "process.h"
#include "profile_report.h"
#include "quantize_flags.h"
#include "run_record.h"
#include "run_settings.h"
#include "train_plan.h"

using namespace perch;
namespace fs = std::filesystem;

namespace {

struct TrainFlags {
  std::string model, shortcut, from, name, save = "models";
  std::int64_t epochs = 1, batch_size = 64, seed = 0;
  double validation_split = 0.1;
  std::optional<float> width;
  std::optional<std::int64_t> calibrate, reestimate;
  std::string on_non_finite = "stop";
  bool augment = false, quiet = false, profile = false, dry_run = false;
  TrainingDataFlags data;
  InputScaleFlag scale;
  QuantizeFlags quantize;
  OptimizerFlags optimizer;
  ComputeFlags compute;
  CheckpointFlags checkpoints;
  const CLI::App* app = nullptr;
  RunFlags run;
};

/// Puts each epoch on stdout as it ends.
class EpochEvents final : public Callback {
 public:
  explicit EpochEvents(Output& output) : output_(output) {}
  /// Those that a resumed training has behind it, too.
  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    for (const EpochResult& result : plan.epochs_done) on_epoch_end(trainer, result);
  }
  void on_epoch_end(Trainer&, const EpochResult& result) override {
    Json event{{"event", "epoch"},
               {"epoch", result.epoch},
               {"loss", result.loss},
               {"accuracy", result.accuracy},
               {"val_loss", or_null<Json>(result.val_loss)},
               {"val_accuracy", or_null<Json>(result.val_accuracy)},
               {"images_per_second", result.images_per_second},
               {"seconds", result.seconds}};
    if (result.oscillating) event["oscillating"] = *result.oscillating;
    if (result.clipped) event["clipped"] = *result.clipped;
    for (const auto& [layer, share] : result.clipped_layers) event["clipped_layers"][layer] = share;
    output_.event(event);
  }

 private:
  Output& output_;
};

/// Notes when the first training step was done.
class FirstStep final : public Callback {
 public:
  void on_batch_end(Trainer&, const BatchResult&) override {
    if (pending_) seconds_ = seconds_since_start();
    pending_ = false;
  }
  /// Since the process was started.
  std::optional<double> seconds() const { return seconds_; }

 private:
  bool pending_ = true;
  std::optional<double> seconds_;
};

ModelOptions options_of(const TrainFlags& flags) {
  ModelOptions options{.width = flags.width};
  if (!flags.shortcut.empty()) options.shortcut = shortcut_of(flags.shortcut);
  return options;
}

std::unique_ptr<Model> make_network(const TrainFlags& flags, const Shape& image_shape) {
  ModelOptions options = options_of(flags);
  options.image = image_shape;
  auto model = make_model(flags.model, options);
  model->build(image_shape, {.seed = static_cast<std::uint64_t>(flags.seed)});
  if (flags.from.empty()) {
    if (flags.quantize.quantizes()) apply_rules(*model, flags.quantize.rules());
    return model;
  }
  const bool keras = fs::path(flags.from).extension() != ".safetensors";
  const auto source = keras ? nullptr : io::load_model(flags.from);
  const auto take_weights = [&] {
    keras ? io::load_weights(*model, flags.from) : copy_state(*source, *model);
  };
  // A float file fits before layers are wrapped or folded, a quantized one's ranges behind that.
  const bool quantized = flags.quantize.quantizes() &&
                         (keras ? io::holds_quantizers(flags.from) : quantizers_of(*source).any());
  if (!quantized) take_weights();
  if (flags.quantize.quantizes()) apply_rules(*model, flags.quantize.rules());
  if (quantized) take_weights();
  return model;
}

/// Where --profile puts its trace: beside the model.
fs::path trace_of(const fs::path& model) {
  return fs::path(model).replace_extension(".trace.json");
}

void check(const TrainFlags& flags) {
  check_choice("model", flags.model, model_names());
  flags.quantize.check();
  flags.optimizer.check();
  flags.checkpoints.check();
  check_choice("--on-non-finite", flags.on_non_finite, {"stop", "skip", "back"});
  PERCH_CHECK(flags.epochs >= 0, "--epochs is {}, must not be negative", flags.epochs);
  PERCH_CHECK(flags.batch_size >= 1, "--batch-size is {}, must be at least 1", flags.batch_size);
  PERCH_CHECK(flags.validation_split >= 0.0 && flags.validation_split < 1.0,
              "--validation-split is {}, must be in [0, 1)", flags.validation_split);
  PERCH_CHECK(!flags.calibrate || flags.quantize.quantizes(),
              "--calibrate has no effect with --quantizer none; leave one out");
  PERCH_CHECK(flags.calibrate.value_or(1) >= 1, "--calibrate is {}, must be at least 1",
              flags.calibrate.value_or(0));
  PERCH_CHECK(flags.reestimate.value_or(1) >= 1,
              "--reestimate-batch-norm is {}, must be at least 1", flags.reestimate.value_or(0));
  flags.run.check();
  PERCH_CHECK(flags.seed >= 0, "--seed is {}, must not be negative", flags.seed);
  if (!flags.shortcut.empty()) check_choice("--shortcut", flags.shortcut, shortcut_names());
  make_model(flags.model, options_of(flags));  // a wrong --width, or an option of other networks
}

/// What the command line leaves open, as it was in effect.
std::vector<io::RunSetting> resolved(const TrainFlags& flags, const std::string& stem,
                                     InputScale scale, const FitOptions& fit) {
  auto settings = common_settings(stem, scale, flags.quantize);
  if (flags.quantize.quantizes() && trains_ranges(flags.quantize.rules())) {
    settings.push_back(
        {"range_rate_factor", io::run_value(fmt::format("{}", fit.range_rate_factor))});
    settings.push_back(
        {"range_weight_decay", io::run_value(fmt::format("{}", fit.range_weight_decay))});
  }
  const auto more = flags.optimizer.resolved();
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

/// Memory that is not there is told with what would do.
History fit_within_memory(Trainer& trainer, const TrainTest& data, const FitOptions& fit) {
  try {
    return trainer.fit(data.train, fit);
  } catch (const std::bad_alloc&) {
    release_cached_buffers();
  }
  const double peak =
      planned_peak_mb(trainer, data.train, batch_sizes(data.train.size(), fit, data.test.size()));
  fail(ErrorCode::failure,
       "out of memory: with {} images a step the training takes about {:.0f} "
       "MB; try --batch-size {}",
       fit.batch_size, peak, std::max<std::int64_t>(fit.batch_size / 2, 1));
}

void train(const TrainFlags& flags, RunRecord& record, Output& output) {
  const auto start = std::chrono::steady_clock::now();
  check(flags);
  auto optimizer = flags.optimizer.make();
  const std::string network = make_model(flags.model, options_of(flags))->name();
  const InputScale scale = flags.scale.value(InputScale::unit);
  const std::string stem = flags.name.empty() ? network : flags.name;
  const fs::path file = fs::path(flags.save) / (model_name(stem, flags.quantize) + ".h5");
  if (!flags.dry_run) check_writable(file);
  if (flags.profile && !flags.dry_run) check_writable(trace_of(file));
  flags.compute.use();

  TrainTest data = flags.data.load();
  data.train = flags.scale.apply(data.train, scale);
  if (data.test.size() > 0) data.test = flags.scale.apply(data.test, scale);
  const auto model = make_network(flags, data.train.image_shape());
  check_fits(*model, data.train);
  check_fits(*model, data.test);

  // The ready models end in a softmax.
  Trainer trainer(*model, std::move(optimizer),
                  sparse_categorical_crossentropy({.from_logits = false}));
  const auto first_step = std::make_shared<FirstStep>();
  FitOptions fit{.epochs = flags.epochs,
                 .batch_size = flags.batch_size,
                 .validation_split = flags.validation_split,
                 .seed = static_cast<std::uint64_t>(flags.seed),
                 .schedule = flags.optimizer.schedule(),
                 .clip_norm = flags.optimizer.clip_norm(),
                 .callbacks = {first_step, std::make_shared<EpochEvents>(output)},
                 .settings = further_settings(*flags.app)};
  // What it began with: its content, wherever the file lies.
  if (!flags.from.empty()) fit.settings["--from"] = file_digest(flags.from).substr(0, 16);
  if (flags.on_non_finite == "skip") fit.on_non_finite = OnNonFinite::skip;
  if (flags.on_non_finite == "back") fit.on_non_finite = OnNonFinite::go_back;
  if (flags.augment) fit.augmentation = {.crop_padding = 4, .flip = true};
  if (flags.quantize.quantizes()) {
    fit.callbacks.push_back(range_watch());
    fit.callbacks.push_back(clipping());
  }
  if (!flags.quiet) fit.callbacks.push_back(progress_bar());
  fit = flags.quantize.schedule(trainer.optimizer(), std::move(fit));
  flags.compute.apply(trainer);
  if (flags.dry_run) {
    const std::int64_t more = flags.calibrate.value_or(0) + flags.reestimate.value_or(0);
    return show_plan(trainer, data, fit, more, file, output);
  }

  const auto checkpoints = flags.epochs > 0 ? flags.checkpoints.open(file) : nullptr;
  if (flags.epochs > 0) fit = flags.checkpoints.apply(checkpoints.get(), std::move(fit));
  std::optional<Outcome> complete;
  if (fit.resume && (fit.resume->stopped || fit.resume->epoch == flags.epochs)) {
    complete = earlier_outcome(checkpoints.get(), file);
  }
  if (complete && !flags.quiet) {
    fmt::print(stderr, "the training is complete; there is nothing to do\n");
  } else if (fit.resume && !flags.quiet) {
    fmt::print(stderr, "going on from step {}, in epoch {} of {}\n", fit.resume->step,
               std::min(fit.resume->epoch + 1, flags.epochs), flags.epochs);
  }
  if (!complete) {
    record.prepare(flags.run.parent(flags.save),
                   {.name = stem,
                    .epochs = flags.epochs,
                    .seed = flags.seed,
                    .resolved = resolved(flags, stem, scale, fit),
                    .data = data,
                    .checkpoints = checkpoints ? checkpoints->path() : fs::path(),
                    .resumed = fit.resume},
                   fit.callbacks);
  }

  std::optional<Profiler> profiler;
  bool model_saved = false;
  interruptible(checkpoints.get(), model_saved, [&] {
    // A state to go on from has all ranges.
    if (flags.calibrate && !fit.resume) {
      calibrate(*model, data.train, {.images = *flags.calibrate});
    }
    if (flags.profile) profiler.emplace();
    const History history = flags.epochs > 0 ? fit_within_memory(trainer, data, fit) : History();
    if (profiler) profiler->stop();
    if (complete) return complete->tell(output);
    if (flags.reestimate) {
      reestimate_batch_norm(*model, data.train, {.images = *flags.reestimate});
    }
    save_model(*model, file, remember_scale(scale));
    model_saved = true;
    std::optional<Evaluation> test;
    if (data.test.size() > 0) test = trainer.evaluate(data.test);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    record.end(file, test, seconds.count());
    const Outcome result =
        outcome(file, record.path(), test, history, first_step->seconds(), seconds.count());
    note_outcome(checkpoints.get(), result, file);
    if (profiler) {
      report_profile(*profiler, trainer.optimizer().iterations(), trace_of(file), output);
    }
    result.tell(output);
  });
  record.check_written();
  if (checkpoints && checkpoints->failures() > 0) {
    fail(ErrorCode::io, "the model is saved, but {} checkpoints could not be written: {}",
         checkpoints->failures(), checkpoints->failure());
  }
}

}  // namespace

Command add_train(CLI::App& parent) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* app = parent.add_subcommand("train", "Train a model with quantization in the loop");
  app->footer(
      "Example:\n  perch train temp_net --data datasets/cifar10_mini --quantizer all_values "
      "--per-channel --epochs 5");
  app->add_option("MODEL", flags->model, "Which network")
      ->type_name(fmt::format("{}", fmt::join(model_names(), "|")))
      ->required();
  app->add_option("--width", flags->width,
                  "Multiplies the channels of mobilenet_v1 or mobilenet_v2; default: 1")
      ->type_name("X");
  app->add_option("--shortcut", flags->shortcut,
                  "How resnet20's halving blocks pass their input on; default: zero_padded")
      ->type_name(fmt::format("{}", fmt::join(shortcut_names(), "|")));
  flags->data.add_to(*app);
  flags->scale.add_to(*app, "default: unit");
  app->add_option("--epochs", flags->epochs,
                  "Passes over the data; 0 saves what training would start from")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--batch-size", flags->batch_size, "Images in a training step")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--validation-split", flags->validation_split,
                  "Share of the data, its last part, kept for validation")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--seed", flags->seed, "Of initial weights, order and augmentation")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--augment", flags->augment, "Random crops and mirror images");
  app->add_option("--on-non-finite", flags->on_non_finite,
                  "A step whose loss or gradient is not finite ends the training, is skipped, or "
                  "puts it back to the begin of the epoch with half the learning rate")
      ->type_name("stop|skip|back")
      ->capture_default_str();
  app->add_option("--from", flags->from, "Start from this file's weights")->type_name("FLOAT.h5");
  app->add_option("--calibrate", flags->calibrate,
                  "Before training, take ranges from this many training images; default: none")
      ->type_name("N");
  app->add_option("--reestimate-batch-norm", flags->reestimate,
                  "After training, take batch normalisation's statistics from this many training "
                  "images; default: training's moving averages")
      ->type_name("N");
  app->add_option("--save", flags->save, "Folder for the model, made if it is missing")
      ->type_name("DIR")
      ->capture_default_str();
  app->add_option("--name", flags->name, "Begin of the file's name; default: the model's")
      ->type_name("STEM");
  flags->checkpoints.add_to(*app);
  flags->run.add_to(*app);
  flags->compute.add_to(*app);
  app->add_flag("--profile", flags->profile,
                "Time per op, with rates and shares of the peak; a trace beside the model");
  app->add_flag("--dry-run", flags->dry_run, "Show steps, time and peak memory, and do nothing");
  app->add_flag("--quiet", flags->quiet, "No progress bar");
  flags->optimizer.add_to(*app);
  flags->quantize.add_to(*app, QuantizeFlags::Use::train);
  flags->app = app;
  const auto config = std::make_shared<Config>(*app);
  config->add_to_command_line();
  const auto run = [flags, app](Output& output) {
    RunRecord record(*app);
    record.watch([&] { train(*flags, record, output); });
  };
  return {app, run, [flags] { check(*flags); }, config, true};
}
