// Variable: a handle on a node of the autograd graph. Eager and define-by-run: an op computes its
// value at once and remembers how to turn its output's gradient into those of its inputs.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <perch/core/tensor.h>

namespace perch {

/// From the gradient of an op's output to those of its inputs, in their order; an empty Tensor
/// where an input needs none. Pure, but free to reuse dy's elements when dy.unique(). A gradient
/// may have the broadcast shape of its input: the engine sums it down.
using GradientFn = std::function<std::vector<Tensor>(Tensor dy)>;

class Variable {
 public:
  Variable() = default;  ///< no node: defined() is false
  /// A leaf. Gradients are accumulated in grad() only when it requires them.
  explicit Variable(Tensor value, bool requires_grad = false);

  /// The output of an op. Inputs and closure are kept only when some input requires a gradient;
  /// `keep_inputs` keeps the inputs anyhow, for those who look behind the op (see input()).
  static Variable from_op(const char* op, Tensor value, std::vector<Variable> inputs,
                          GradientFn gradient, bool keep_inputs = false);

  bool defined() const { return node_ != nullptr; }
  const Tensor& value() const;
  /// For optimizers and loaders; an op's saved inputs share these elements.
  Tensor& mutable_value();
  const Shape& shape() const { return value().shape(); }
  bool requires_grad() const;
  /// Name of the op that made it; "" for a leaf.
  const char* op() const;
  /// The op's inputs as far as they are kept; empty for leaves.
  const std::vector<Variable>& inputs() const;

  /// Accumulated by backward(); empty before the first one and after clear_grad().
  const Tensor& grad() const;
  /// The gradient, moved out: the variable has none afterwards.
  Tensor take_grad();
  void clear_grad();

  /// The same value outside of the graph.
  Variable detach() const;

  /// Propagates from this variable to every leaf that requires a gradient, and frees the graph on
  /// the way. `seed` has this variable's shape; without it the variable must be a scalar, seed 1.
  /// Iterative: the depth of the graph is not bounded by the stack. Throws Error(usage).
  void backward(Tensor seed = {}) const;

  bool same_as(const Variable& other) const { return node_ == other.node_; }

 private:
  struct Node;
  std::shared_ptr<Node> node_;
};

}  // namespace perch
