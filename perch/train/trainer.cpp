#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/profile.h>
#include <perch/core/warn.h>
#include <perch/layers/state.h>
#include <perch/train/clip.h>
#include <perch/train/non_finite.h>
#include <perch/train/score.h>
#include <perch/train/settings.h>
#include <perch/train/snapshot.h>
#include <perch/train/split.h>

namespace perch {
namespace {

using Clock = std::chrono::steady_clock;
using Settings = std::map<std::string, std::string>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Split {
  Dataset train, validation;
};

Split split(const Dataset& data, const FitOptions& options) {
  const double share = options.validation_split;
  PERCH_CHECK(share >= 0.0 && share < 1.0, "fit: validation split {} is outside [0, 1)", share);
  const std::int64_t at = training_images(data.size(), share);
  PERCH_CHECK(at > 0 && (share == 0.0 || at < data.size()),
              "fit: a validation split of {} leaves no image for {} of {}; choose another split",
              share, at > 0 ? "validation" : "training", data.size());
  return {data.subset(0, at), data.subset(at, data.size())};
}

void check(const FitOptions& options, std::int64_t train_images) {
  PERCH_CHECK(options.epochs >= 1, "fit: {} epochs; train for at least 1", options.epochs);
  PERCH_CHECK(
      options.batch_size >= 1 && options.batch_size <= train_images,
      "fit: batch size {} is outside [1, {}], the number of training images; choose another",
      options.batch_size, train_images);
  PERCH_CHECK(std::isfinite(options.clip_norm) && options.clip_norm >= 0.0f,
              "fit: clip_norm {} must be above 0, or 0 for no clipping", options.clip_norm);
  PERCH_CHECK(std::isfinite(options.range_rate_factor) && options.range_rate_factor >= 0.0f,
              "fit: range_rate_factor {} must not be negative", options.range_rate_factor);
  PERCH_CHECK(std::isfinite(options.range_weight_decay) && options.range_weight_decay >= 0.0f,
              "fit: range_weight_decay {} must not be negative", options.range_weight_decay);
  for (const CallbackPtr& callback : options.callbacks) {
    PERCH_CHECK(callback != nullptr, "fit: one of the callbacks is null; leave it out");
  }
}

}  // namespace

// What the steps of one fit() share.
struct Trainer::Run {
  std::vector<Parameter> parameters;
  const FitOptions& options;
  const Dataset* data = nullptr;
  std::int64_t batches = 0;           // of an epoch; 0 outside of fit()
  std::int64_t epoch = 0, batch = 0;  // under way; steps done in it
  Totals totals = {};                 // of this epoch
  double seconds_before = 0.0;        // spent in it before the training was resumed
  Clock::time_point start = {};       // of it
  History history = {};
  Settings settings = {};                     // where states are kept or resumed
  std::future<std::string> fingerprint = {};  // of the data, on its way
  bool whole = true;                          // not amid a step or the end of an epoch
  TrainPlan plan = {};
  float rate_factor = 1.0f;
  std::shared_ptr<const TrainingState> begin = {};  // where it may go back to

  std::int64_t step() const { return epoch * batches + batch; }
  double seconds() const { return seconds_before + seconds_since(start); }
};

Trainer::Trainer(Model& model, std::unique_ptr<Optimizer> optimizer, Loss loss)
    : model_(model), optimizer_(std::move(optimizer)), loss_(std::move(loss)) {
  PERCH_CHECK(optimizer_ != nullptr, "Trainer: no optimizer given");
}

History Trainer::fit(const Dataset& data, const FitOptions& options) {
  check_fits("fit", data);
  const auto [train, validation] = split(data, options);
  check(options, train.size());
  Loader loader(train, {.batch_size = options.batch_size,
                        .shuffle = options.shuffle,
                        .seed = options.seed,
                        .augmentation = options.augmentation});
  std::optional<Loader> validation_loader;
  if (validation.size() > 0) {
    validation_loader.emplace(validation, LoaderOptions{.batch_size = options.batch_size});
  }

  stop_ = false;
  Run run{trainable_parameters(options), options, &data, loader.batches()};
  // As the model is before schedules move its settings.
  const auto keeps = [](const CallbackPtr& callback) { return callback->keeps_states(); };
  if (options.resume || std::ranges::any_of(options.callbacks, keeps)) {
    run.settings = settings_of(model_, *optimizer_, loss_, fuse_, data, options);
  }
  run.plan = {options.epochs, run.batches, options.batch_size, train.size(), validation.size()};
  run_ = &run;
  struct Leave {
    Run*& run;
    ~Leave() { run = nullptr; }
  } leave{run_};
  if (options.resume) {
    add_fingerprint(run);
    check_settings(*options.resume, run);
  }
  begin(options.resume.get(), run);
  try {
    while (run.epoch < options.epochs && !stop_) {
      const bool new_epoch = run.batch == 0 || run.begin == nullptr;
      if (options.on_non_finite == OnNonFinite::go_back && new_epoch) {
        run.begin = nullptr;
        run.begin = std::make_shared<const TrainingState>(state());
      }
      try {
        run_epoch(loader, validation_loader, run);
      } catch (const GoBack& reason) {
        go_back(reason, run);
      }
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted && run.whole) tell_state(run, true);
    throw;
  }
  for (const CallbackPtr& callback : options.callbacks) callback->on_train_end(*this);
  tell_state(run, true);
  return run.history;
}

void Trainer::begin(const TrainingState* state, Run& run) {
  StatePieces pieces;
  if (state != nullptr) {
    // All is looked up before anything is changed.
    pieces = look_up(*state, model_);
    take_up(*state, run);
  }
  run.plan.steps_done = run.step();
  run.plan.epochs_done = run.history.epochs;
  const auto& callbacks = run.options.callbacks;
  for (const CallbackPtr& callback : callbacks) callback->on_train_begin(*this, run.plan);
  if (state != nullptr) restore_state(*state, std::move(pieces), model_, *optimizer_, callbacks);
}

void Trainer::go_back(const GoBack& reason, Run& run) {
  constexpr float least = 1.0f / 32.0f;
  const float factor = run.rate_factor / 2.0f;
  if (factor < least) {
    fail(ErrorCode::failure, "{} (even with {} of it)", reason.why, run.rate_factor);
  }
  const std::string place = run.begin->batch == 0
                                ? fmt::format("the begin of epoch {}", run.epoch + 1)
                                : fmt::format("step {}", run.begin->step);
  warn(fmt::format("{}; going back to {} with {} of the learning rate", reason.why, place, factor));
  begin(run.begin.get(), run);
  run.begin = nullptr;  // from here on it is another state, with this rate
  run.rate_factor = factor;
  run.whole = true;
}

void Trainer::check_settings(const TrainingState& state, const Run& run) const {
  std::map<std::string, std::string> then = state.settings;
  const bool same_data = !then.emplace("data", run.settings.at("data")).second;
  std::vector<std::string> found = differences(then, run.settings);
  if (!found.empty() && !run.options.resume_anyway) {
    constexpr std::size_t shown = 6;
    const std::size_t more = found.size() - std::min(found.size(), shown);
    found.resize(found.size() - more);
    if (more > 0) found.push_back(fmt::format("and {} more", more));
    fail(ErrorCode::usage,
         "the checkpoint is of another training: {}; start afresh, or resume anyway",
         fmt::join(found, "; "));
  }
  if (!same_data) {
    warn(
        "the training was interrupted before the data were summed up: whether they are the same "
        "is not known");
  }
  const std::string now(kernels::active().arch);
  if (!state.instruction_set.empty() && state.instruction_set != now) {
    warn(
        fmt::format("the checkpoint was made with the {} instruction set, this is {}: floats are "
                    "rounded otherwise, the end may differ in the last bits",
                    state.instruction_set, now));
  }
}

/// Puts a training where another one was.
void Trainer::take_up(const TrainingState& state, Run& run) {
  const bool whole = state.epoch >= 0 && state.epoch <= run.options.epochs && state.batch >= 0 &&
                     state.batch <= run.batches &&
                     state.history.size() == static_cast<std::size_t>(state.epoch);
  if (!whole) {
    fail(ErrorCode::bad_data,
         "the checkpoint is behind step {} of {} in epoch {} of {}, with the results of {} epochs",
         state.batch, run.batches, state.epoch + 1, run.options.epochs, state.history.size());
  }
  run.epoch = state.epoch;
  run.batch = state.batch;
  run.totals = state.totals;
  run.seconds_before = state.seconds;
  run.history.epochs = state.history;
  run.rate_factor = state.rate_factor;
  stop_ = state.stopped;
}

TrainingState Trainer::state() {
  PERCH_CHECK(run_ != nullptr, "Trainer: there is no state outside of fit()");
  // What may go back can go on from there only, or it would go back to elsewhere.
  const bool amid_epoch = run_->batch > 0;
  if (run_->begin != nullptr && amid_epoch && run_->step() > run_->begin->step) {
    return *run_->begin;
  }
  add_fingerprint(*run_);
  TrainingState state{.epoch = run_->epoch,
                      .batch = run_->batch,
                      .step = run_->step(),
                      .totals = run_->totals,
                      .seconds = run_->seconds(),
                      .stopped = stop_,
                      .rate_factor = run_->rate_factor,
                      .history = run_->history.epochs,
                      .settings = run_->settings,
                      .instruction_set = std::string(kernels::active().arch)};
  collect_state(model_, *optimizer_, run_->options.callbacks, state);
  return state;
}

/// Of the data, which the first step does not wait for.
void Trainer::add_fingerprint(Run& run) {
  if (run.settings.empty() || run.settings.contains("data")) return;
  try {
    run.settings["data"] = run.fingerprint.valid() ? run.fingerprint.get() : checksum(*run.data);
  } catch (const Error& error) {
    // A state without it is better than none.
    if (error.code() != ErrorCode::interrupted || run.step() == 0) throw;
  }
}

void Trainer::tell_state(const Run& run, bool leaving) {
  for (const CallbackPtr& callback : run.options.callbacks) callback->on_state(*this, leaving);
}

void Trainer::run_epoch(Loader& loader, std::optional<Loader>& validation, Run& run) {
  run.start = Clock::now();
  const auto& callbacks = run.options.callbacks;
  for (const CallbackPtr& callback : callbacks) callback->on_epoch_begin(*this, run.epoch);
  EpochResult result = train_epoch(loader, run);
  if (validation) {
    const Evaluation evaluation = evaluate(*validation);
    result.val_loss = evaluation.loss;
    result.val_accuracy = evaluation.accuracy;
  }
  result.seconds = run.seconds();
  run.whole = false;
  for (const CallbackPtr& callback : callbacks) callback->complete(result);
  run.history.epochs.push_back(result);
  for (const CallbackPtr& callback : callbacks) callback->on_epoch_end(*this, result);
  ++run.epoch;
  run.batch = 0;
  run.totals = {};
  run.seconds_before = 0.0;
  run.start = Clock::now();
  run.whole = true;
  tell_state(run, false);
}

float Trainer::learning_rate(const Run& run, std::int64_t step) const {
  const double factor = run.options.schedule.factor(step, run.options.epochs * run.batches);
  return optimizer_->learning_rate() * static_cast<float>(factor) * run.rate_factor;
}

EpochResult Trainer::train_epoch(Loader& loader, Run& run) {
  plan();
  Batch batch;
  if (run.batch < run.batches) loader.start(run.epoch, run.batch);
  const auto next = [&] {
    const ProfileScope scope("data", "", "wait for the next batch");
    return loader.next(batch);
  };
  while (run.batch < run.batches) {
    next();
    run.whole = false;
    const Score score = step(batch, learning_rate(run, run.step()), run);
    if (score.loss.defined()) {
      run.totals.add(score.loss.value().item(), score.correct, batch.size());
    }
    const BatchResult result{run.epoch,
                             run.batch,
                             run.batches,
                             run.totals.images,
                             run.totals.mean_loss(),
                             run.totals.accuracy(),
                             run.seconds()};
    for (const CallbackPtr& callback : run.options.callbacks) callback->on_batch_end(*this, result);
    ++run.batch;
    run.whole = true;
    if (run.step() == 1 && !run.settings.empty() && !run.fingerprint.valid()) {
      run.fingerprint =
          std::async(std::launch::async, [data = *run.data] { return checksum(data); });
    }
    if (run.batch < run.batches) tell_state(run, false);
  }
  if (run.totals.images == 0) {
    fail(ErrorCode::failure, "no step of epoch {} was finite; try a smaller learning rate",
         run.epoch + 1);
  }
  EpochResult result{
      .epoch = run.epoch, .loss = run.totals.mean_loss(), .accuracy = run.totals.accuracy()};
  result.images_per_second = static_cast<double>(run.totals.images) / run.seconds();
  result.learning_rate = learning_rate(run, run.step() - 1);
  return result;
}

double Trainer::train_batch(const Batch& batch, float learning_rate) {
  plan();
  const FitOptions defaults;
  Run run{trainable_parameters(defaults), defaults};
  return step(batch, learning_rate, run).loss.value().item();
}

Trainer::Score Trainer::step(const Batch& batch, float learning_rate, Run& run) {
  const auto number = static_cast<std::uint32_t>(optimizer_->iterations());
  const Context context = Context::for_training(run.options.seed, number);
  const std::string where = run.batches == 0 ? fmt::format("step {}", number + 1)
                                             : fmt::format("epoch {}, step {} of {}", run.epoch + 1,
                                                           run.batch + 1, run.batches);
  Snapshot before;
  if (run.options.on_non_finite == OnNonFinite::skip) before.take(model_, Snapshot::Part::moved);
  Score result = score(batch, context);
  const float loss = result.loss.value().item();
  std::string wrong;
  if (std::isfinite(loss)) {
    result.loss.backward();
    for (const CallbackPtr& callback : run.options.callbacks) callback->on_gradients(*this);
    wrong = non_finite_gradient(run.parameters, where);
  } else {
    result = {};
    wrong = non_finite_loss(model_, batch, context, loss, where);
  }
  if (!wrong.empty()) return not_finite(wrong, before, run);
  if (run.options.clip_norm > 0.0f) clip_by_global_norm(run.parameters, run.options.clip_norm);
  const ProfileScope scope("update", "", optimizer_->name());
  optimizer_->step(run.parameters, learning_rate);
  return result;
}

Trainer::Score Trainer::not_finite(const std::string& wrong, const Snapshot& before, Run& run) {
  for (Parameter& parameter : run.parameters) parameter.variable.take_grad();
  switch (run.options.on_non_finite) {
    case OnNonFinite::stop:
      break;
    case OnNonFinite::skip:
      before.restore(model_);
      warn(wrong + "; the step is skipped");
      return {};
    case OnNonFinite::go_back:
      throw GoBack{wrong};
  }
  fail(ErrorCode::failure, "{}", wrong);
}

std::vector<Parameter> Trainer::trainable_parameters(const FitOptions& options) {
  std::vector<Parameter> parameters;
  for (const StateEntry& entry : state_of(model_)) {
    if (!entry.trainable) continue;
    Parameter& parameter = parameters.emplace_back(Parameter{entry.name, *entry.weight});
    if (!entry.of_part) continue;
    parameter.rate_factor = options.range_rate_factor;
    parameter.weight_decay = options.range_weight_decay;
  }
  PERCH_CHECK(!parameters.empty(),
              "fit: the model has no trainable weight; add a layer that has, or unfreeze one with "
              "set_trainable(true)");
  return parameters;
}

}  // namespace perch
