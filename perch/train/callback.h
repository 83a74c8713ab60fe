// Callbacks: told what training does, able to stop it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/visitor.h>

namespace perch {

class Trainer;

struct EpochResult {
  std::int64_t epoch = 0;             ///< from 0
  double loss = 0.0, accuracy = 0.0;  ///< means over the training images, as they were trained on
  std::optional<double> val_loss, val_accuracy;
  double images_per_second = 0.0;  ///< training images over training time, validation excluded
  double seconds = 0.0;            ///< of the whole epoch
  /// Share of quantized weights that oscillate, where a callback measures it (see oscillation.h).
  std::optional<double> oscillating = std::nullopt;
  double learning_rate = 0.0;  ///< of the last step
  /// Share of quantized weights outside of their range, where a callback measures it (clipping.h).
  std::optional<double> clipped = std::nullopt;
  struct LayerShare {
    std::string layer;
    double share = 0.0;
  };
  std::vector<LayerShare> clipped_layers = {};  ///< the same by layer, in the model's order
};

struct BatchResult {
  std::int64_t epoch = 0, batch = 0, batches = 0;
  std::int64_t images = 0;            ///< trained on in this epoch so far
  double loss = 0.0, accuracy = 0.0;  ///< means over the epoch so far
  double seconds = 0.0;               ///< of this epoch's training so far
};

struct TrainPlan {
  std::int64_t epochs = 0, batches = 0, batch_size = 0, train_images = 0, val_images = 0;
  /// Steps that a training which is resumed has behind it, and its epochs.
  std::int64_t steps_done = 0;
  std::vector<EpochResult> epochs_done = {};
};

/// What it knows from one step to the next, visit() reports, so that a resumed training goes on
/// with it: config(), counter() and buffer() of any name.
class Callback : public Visitable {
 public:
  /// Names that state in a checkpoint; empty: it has none.
  virtual std::string state_name() const { return {}; }
  void visit(Visitor&) override {}

  /// Whether it takes Trainer::state() in on_state(), so that settings are noted at the begin.
  virtual bool keeps_states() const { return false; }

  /// A resumed training's state is put in behind this.
  virtual void on_train_begin(Trainer&, const TrainPlan&) {}
  virtual void on_epoch_begin(Trainer&, std::int64_t /*epoch*/) {}
  /// Gradients are complete, the weights not updated yet; a weight's backward() adds to its own.
  virtual void on_gradients(Trainer&) {}
  virtual void on_batch_end(Trainer&, const BatchResult&) {}
  /// Adds what it has measured of the epoch, before on_epoch_end() of any callback.
  virtual void complete(EpochResult&) {}
  virtual void on_epoch_end(Trainer&, const EpochResult&) {}
  virtual void on_train_end(Trainer&) {}
  /// Behind all callbacks' hooks of a step, of an epoch and of the training: Trainer::state() is
  /// whole. `leaving`: nothing comes after, as the training is done or about to be interrupted.
  virtual void on_state(Trainer&, bool /*leaving*/) {}
};
using CallbackPtr = std::shared_ptr<Callback>;

/// Bar with rate, time left (of all epochs), loss and accuracy on stderr when that is a terminal;
/// else a plain line per epoch, and one every ten seconds within. Honours NO_COLOR and TERM=dumb.
CallbackPtr progress_bar();
/// epoch,loss,accuracy,val_loss,val_accuracy,images_per_second,seconds,oscillating,clipped;
/// written row by row, those that a resumed training has behind it first. An existing file is
/// overwritten. Throws Error(cannot_create) at the begin of training.
CallbackPtr csv_log(std::filesystem::path file);
struct EarlyStoppingOptions {
  std::string monitor = "val_loss";  ///< loss, accuracy, val_loss, val_accuracy
  std::int64_t patience = 3;         ///< epochs without improvement before it stops
  double min_delta = 0.0;
  bool restore_best = false;  ///< puts the best epoch's state back at the end
};
/// Losses improve downwards, accuracies upwards. Throws Error(usage) for an unknown monitor, with
/// the nearest, and at the begin of training for a val_ one without validation images.
CallbackPtr early_stopping(EarlyStoppingOptions options = {});
/// Calls `save` whenever the monitored value is the best so far (io::best_model makes one that
/// writes a file). Throws as early_stopping() does.
CallbackPtr on_best(std::string monitor, std::function<void(Trainer&)> save);

}  // namespace perch
