// TrainingState: everything that a training is at the end of a step, without a file format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <perch/core/tensor.h>
#include <perch/optim/optimizer.h>
#include <perch/train/callback.h>
#include <perch/train/totals.h>

namespace perch {

class Model;

/// A training that goes on from here ends in the same bits as one that was never stopped. Random
/// draws and the order of images are functions of the seed, the epoch and the step, so that these
/// numbers are all that they need.
struct TrainingState {
  std::int64_t epoch = 0, batch = 0;  ///< whole epochs done, and steps of the one after
  std::int64_t step = 0;              ///< steps done in all
  Totals totals = {};                 ///< of the epoch under way
  double seconds = 0.0;               ///< spent in it
  bool stopped = false;               ///< a callback has ended the training
  float rate_factor = 1.0f;           ///< of the learning rate; see OnNonFinite::go_back
  std::vector<EpochResult> history = {};
  /// "model/conv2d/kernel", "optimizer/m/conv2d/kernel", "callbacks/early_stopping/0".
  std::map<std::string, Tensor> tensors = {};
  /// Counters and settings of the same: "model/quant_conv2d/optimizer_step",
  /// "optimizer/iterations".
  std::map<std::string, std::string> values = {};
  /// What the outcome depends on: data, network, options (settings.h). Without "data" where the
  /// training was interrupted before its fingerprint was there.
  std::map<std::string, std::string> settings = {};
  /// Of the kernels that were used, whose floats are rounded otherwise than another set's; empty:
  /// not known.
  std::string instruction_set = {};
};

/// What a state has of a model and its optimizer, in the model's order.
struct StatePieces {
  std::vector<const Tensor*> tensors;  ///< the state's own
  std::vector<std::int32_t> counters;
  Optimizer::Slots slots;
  std::int32_t iterations = 0;
};

/// Adds copies of all that the three hold to `state`.
void collect_state(Model& model, Optimizer& optimizer, const std::vector<CallbackPtr>& callbacks,
                   TrainingState& state);
/// Throws Error(bad_data) naming the first variable of model or optimizer that the state lacks, has
/// too much, or has in another shape. The state must outlive what is found.
StatePieces look_up(const TrainingState& state, Model& model);
/// Puts it back: the pieces that were found, and what callbacks have a state for; what they have
/// none for stays as it began.
void restore_state(const TrainingState& state, StatePieces pieces, Model& model,
                   Optimizer& optimizer, const std::vector<CallbackPtr>& callbacks);

/// "epochs: 5 in the checkpoint, 6 now" for each setting that differs; empty when all agree.
std::vector<std::string> differences(const std::map<std::string, std::string>& then,
                                     const std::map<std::string, std::string>& now);

}  // namespace perch
