// Losses as the Trainer takes them: a model's output and a batch's labels to a scalar.
#pragma once

#include <functional>
#include <string>

#include <perch/datasets/loader.h>
#include <perch/layers/layer.h>

namespace perch {

struct LossOptions {
  float label_smoothing = 0.0f;
  /// What the model puts out: logits, or (false) the probabilities of a final softmax. Either way
  /// the logits behind a softmax are used; with true, the Trainer warns once, as Keras 2.15 does.
  bool from_logits = true;
};

class Loss {
 public:
  using Function = std::function<Variable(const Variable& output, const Batch& batch)>;
  /// A loss of one's own; `options` only says what name() was made with.
  Loss(std::string name, Function function, LossOptions options = {.from_logits = false});
  /// Trainer(model, Adam(), sparse_categorical_crossentropy)
  Loss(Loss (*factory)(LossOptions)) : Loss(factory({})) {}

  const std::string& name() const { return name_; }
  const LossOptions& options() const { return options_; }
  Variable operator()(const Variable& output, const Batch& batch) const {
    return function_(output, batch);
  }

 private:
  std::string name_;
  Function function_;
  LossOptions options_;
};

// The factories throw Error(usage) for a label smoothing outside [0, 1). The cross-entropies do so
// when called with from_logits = false on an output that no softmax made.
Loss sparse_categorical_crossentropy(LossOptions options = {});
/// Against one-hot targets made of the labels; the same value by another road, and the one that
/// takes distributions in user code (perch/core/ops/loss.h).
Loss categorical_crossentropy(LossOptions options = {});
/// Of the output, as it is, against the (smoothed) one-hot targets.
Loss mean_squared_error(LossOptions options = {});

}  // namespace perch
