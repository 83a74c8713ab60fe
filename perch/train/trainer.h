// Trainer: fit, evaluate and predict.
#pragma once

#include <concepts>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <perch/datasets/loader.h>
#include <perch/fuse/fuse.h>
#include <perch/layers/model.h>
#include <perch/optim/optimizers.h>
#include <perch/optim/schedule.h>
#include <perch/train/callback.h>
#include <perch/train/loss.h>
#include <perch/train/training_state.h>

namespace perch {

class Snapshot;
struct GoBack;

/// What becomes of a step whose loss or gradient is not a finite number.
enum class OnNonFinite {
  stop,     ///< the training ends with an error
  skip,     ///< weights, ranges and statistics stay as they were, and the next batch comes
  go_back,  ///< to the begin of the epoch, with half the learning rate from there on; five times
};

struct FitOptions {
  std::int64_t epochs = 1;
  std::int64_t batch_size = 64;
  /// Share of the data kept for validation: the last part, taken before shuffling, as Keras does.
  double validation_split = 0.0;
  bool shuffle = true;
  std::uint64_t seed = 0;
  Schedule schedule = {};
  Augmentation augmentation = {};
  float clip_norm = 0.0f;  ///< scales gradients to at most this global norm; 0: off
  /// Of trained quantization ranges, as a factor of the weights' learning rate; and their weight
  /// decay, instead of the optimizer's own for weights.
  float range_rate_factor = 1.0f;
  float range_weight_decay = 0.0f;
  OnNonFinite on_non_finite = OnNonFinite::stop;
  std::vector<CallbackPtr> callbacks = {};
  /// Goes on from this state instead of from the model as it is. With the same data and options
  /// the end is that of a training that was never stopped, to the bit.
  std::shared_ptr<const TrainingState> resume = nullptr;
  /// Even where the state's settings are others than these.
  bool resume_anyway = false;
  /// The caller's own that a resumed training must agree in.
  std::map<std::string, std::string> settings = {};
};

struct History {
  std::vector<EpochResult> epochs;
};

struct Evaluation {
  double loss = 0.0, accuracy = 0.0;
  std::int64_t count = 0;
  double seconds = 0.0;
  double images_per_second() const {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  }
};
std::ostream& operator<<(std::ostream& out, const Evaluation& evaluation);

/// Images at a time where nothing is trained. Part of the result: losses are float32 means of
/// batches.
inline constexpr std::int64_t evaluation_batch_size = 64;

/// Borrows the model, which must outlive it and be built before fit, evaluate and predict.
class Trainer {
 public:
  template <std::derived_from<Optimizer> O>
  Trainer(Model& model, O optimizer, Loss loss)
      : Trainer(model, std::make_unique<O>(std::move(optimizer)), std::move(loss)) {}
  Trainer(Model& model, std::unique_ptr<Optimizer> optimizer, Loss loss);

  /// Throws Error(usage) for a batch size outside [1, training images], a split outside [0, 1) or
  /// one that leaves no image on either side, for data that do not fit the model, and for a state
  /// to resume whose settings differ, with the differences; Error(bad_data) for one that does not
  /// fit the model; Error(failure) when a loss or gradient is no longer finite (see on_non_finite),
  /// naming the step and the first layer with a non-finite value; Error(interrupted), behind a step
  /// that is complete, where a stop was asked for (see interrupt.h).
  History fit(const Dataset& data, const FitOptions& options);
  /// Inference mode; changes nothing in the model. (The batch size is training's, so that the
  /// buffers are too.)
  Evaluation evaluate(const Dataset& data, std::int64_t batch_size = evaluation_batch_size);
  /// The model's outputs, [count, ...].
  Tensor predict(const Dataset& data, std::int64_t batch_size = evaluation_batch_size);

  /// One step on one batch: loss before the update. Random draws are those of seed 0.
  double train_batch(const Batch& batch, float learning_rate);

  /// Whether layers run in fused blocks (see fuse.h); fusion_by_default() unless told otherwise.
  void set_fuse(bool fuse) { fuse_ = fuse; }
  void stop() { stop_ = true; }  ///< ends fit() after the current epoch
  /// What fit() is at, for callbacks in on_state(). Throws Error(usage) outside of fit().
  TrainingState state();
  Model& model() { return model_; }
  Optimizer& optimizer() { return *optimizer_; }

 private:
  struct Score;
  struct Run;

  void plan();
  Variable forward(const Batch& batch, const Context& context);
  Score score(const Batch& batch, const Context& context);
  Score step(const Batch& batch, float learning_rate, Run& run);
  float learning_rate(const Run& run, std::int64_t step) const;
  void take_up(const TrainingState& state, Run& run);
  void begin(const TrainingState* state, Run& run);
  void check_settings(const TrainingState& state, const Run& run) const;
  Score not_finite(const std::string& wrong, const Snapshot& before, Run& run);
  void go_back(const GoBack& reason, Run& run);
  void run_epoch(Loader& loader, std::optional<Loader>& validation, Run& run);
  EpochResult train_epoch(Loader& loader, Run& run);
  void add_fingerprint(Run& run);
  void tell_state(const Run& run, bool leaving);
  Evaluation evaluate(Loader& loader);
  void check_fits(const char* verb, const Dataset& data) const;
  std::vector<Parameter> trainable_parameters(const FitOptions& options);

  Model& model_;
  std::unique_ptr<Optimizer> optimizer_;
  Loss loss_;
  bool fuse_ = fusion_by_default();
  std::optional<FusedModel> fused_;  // of the present pass over data
  Run* run_ = nullptr;               // of fit(), while it runs
  bool stop_ = false;
  bool warned_ = false;  // of a softmax before a loss that expects logits
};

}  // namespace perch
