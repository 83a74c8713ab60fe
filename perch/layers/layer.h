// Layer: what every building block of a network is. Layers know nothing of quantization, of
// optimizers or of files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <perch/core/error.h>
#include <perch/core/random.h>
#include <perch/core/variable.h>
#include <perch/core/visitor.h>

namespace perch {

class Layer;
class Model;

/// What a forward pass is for. Passed down, never global.
struct Context {
  bool training = false;   ///< dropout, batch statistics, ranges that learn
  bool gradients = false;  ///< weights require gradients
  std::uint64_t seed = 0;  ///< of this run's random draws
  std::uint32_t step = 0;  ///< number of the training step: other draws in each

  /// Applied by a layer between its linear part and its activation function, when set.
  std::function<Variable(Variable)> before_activation;
  /// Told every layer's output by the model, when set.
  std::function<void(const Layer&, const Variable&)> on_output;

  static Context for_training(std::uint64_t seed, std::uint32_t step) {
    return {.training = true, .gradients = true, .seed = seed, .step = step};
  }
  static Context for_inference() { return {}; }
  /// This one for what is frozen: nothing learns.
  Context frozen() const {
    Context result = *this;
    result.training = result.gradients = false;
    return result;
  }
};

/// A layer's weights by name, in the layer's order. Handed to apply(), so that a wrapper can hand
/// in quantized ones.
class Weights {
 public:
  void set(std::string_view name, Variable value);  ///< replaces or appends
  bool contains(std::string_view name) const;
  /// Throws Error(usage) naming the weights there are.
  const Variable& operator[](std::string_view name) const;
  /// The named weight, or an undefined variable where the layer has none (a missing bias).
  Variable find(std::string_view name) const;

  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<std::pair<std::string, Variable>> items_;
};

/// Draws the initial weights of a model: one random stream for each weight's full name.
class WeightInit {
 public:
  explicit WeightInit(std::uint64_t seed) : seed_(seed) {}
  /// Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), the fans as Keras counts
  /// them: the last two extents times the receptive field before them.
  Tensor glorot_uniform(std::string_view full_name, const Shape& shape) const;

 private:
  std::uint64_t seed_;
};

class Layer : public Visitable {
 public:
  /// Keras's class name: "Conv2D", "BatchNormalization", ...
  virtual std::string kind() const = 0;
  /// Creates the weights for inputs of these shapes (without batch axis); returns the output's.
  /// Building again replaces the weights. Throws Error(usage) when the layer cannot take them.
  virtual Shape build(const std::vector<Shape>& inputs, const WeightInit& init) = 0;
  /// The output for inputs with a batch axis, computed with the given weights.
  virtual Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                         const Context& context) = 0;
  // visit(): configuration as the constructor takes it, then weights and buffers in Keras's order.

  /// Told its place, the node's index, whenever a model's graph is built or changed. For layers
  /// that ask about what feeds them.
  virtual void connect(const Model& model, int node);

  /// apply() with the layer's own weights; they require gradients when the context says so and the
  /// layer is trainable.
  Variable operator()(const std::vector<Variable>& inputs, const Context& context);
  Weights own_weights(const Context& context);
  /// The context that the layer works in: a frozen one when it is not trainable.
  Context own_context(const Context& context) const {
    return trainable_ ? context : context.frozen();
  }

  /// Unique within a model; given by the model when empty: "conv2d", "conv2d_1", ...
  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }

  /// False freezes everything in the layer and below it, weights, moving statistics and ranges: it
  /// then runs as in inference.
  bool trainable() const { return trainable_; }
  void set_trainable(bool trainable) { trainable_ = trainable; }

 protected:
  /// context.before_activation, if any, then the named activation function.
  static Variable activate(const std::string& activation, Variable x, const Context& context);
  /// "conv2d/kernel"
  std::string full_name(std::string_view weight) const;

 private:
  std::string name_;
  bool trainable_ = true;
};

/// Runs a step of a layer and puts the layer's name before its error messages.
template <class Step>
auto with_layer_name(const Layer& layer, const Step& step) {
  try {
    return step();
  } catch (const Error& error) {
    throw Error(error.code(), layer.name() + ": " + error.what());
  }
}

/// For layers with exactly one input.
class UnaryLayer : public Layer {
 public:
  Shape build(const std::vector<Shape>& inputs, const WeightInit& init) final;
  Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                 const Context& context) final;

 protected:
  virtual Shape build_one(const Shape& input, const WeightInit& init) = 0;
  virtual Variable apply_one(const Variable& x, const Weights& weights, const Context& context) = 0;
};

}  // namespace perch
