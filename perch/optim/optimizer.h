// Optimizers. State is kept by parameter name, never by address, and is visitable like everything
// that is saved.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/variable.h>
#include <perch/core/visitor.h>

namespace perch {

/// A trainable weight and its unique name.
struct Parameter {
  std::string name;
  Variable variable;
  float rate_factor = 1.0f;                          ///< of the learning rate
  std::optional<float> weight_decay = std::nullopt;  ///< instead of the optimizer's own
};

class Optimizer : public Visitable {
 public:
  /// One step with the gradients in the parameters, which are cleared. `learning_rate` comes from
  /// the schedule. Parameters without a gradient stay as they are.
  void step(std::vector<Parameter>& parameters, float learning_rate);
  /// The rate before the schedule's factor.
  virtual float learning_rate() const = 0;
  virtual std::string name() const = 0;
  /// Number of steps taken.
  std::int32_t iterations() const { return iterations_; }

  /// What it was made with, by name: "learning_rate" -> "0.001". A checkpoint of other settings is
  /// not gone on with.
  virtual std::map<std::string, std::string> settings() const { return {}; }

  /// State tensors by slot ("m", "v", "momentum") and parameter name.
  using Slots = std::map<std::string, std::map<std::string, Tensor>>;
  const Slots& slots() const { return slots_; }
  /// Goes on from this state, which slots() and iterations() once were.
  void set_state(std::int32_t iterations, Slots slots);
  /// Reports "iterations" and each slot's tensors, "slot/parameter".
  void visit(Visitor& visitor) override;

 protected:
  virtual void begin_step(float learning_rate) = 0;
  virtual void update(const std::string& name, Tensor& value, const Tensor& gradient) = 0;
  /// The state of a parameter, zeros at first.
  Tensor& slot(const std::string& slot, const std::string& name, const Shape& shape);

  /// Of the parameter that is updated.
  float weight_decay_or(float own) const { return weight_decay_.value_or(own); }

  std::int32_t iterations_ = 0;

 private:
  Slots slots_;
  std::optional<float> weight_decay_;
};

}  // namespace perch
