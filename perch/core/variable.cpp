#include <atomic>
#include <deque>
#include <string>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/profile.h>
#include <perch/core/reduce.h>
#include <perch/core/variable.h>

namespace perch {

struct Variable::Node {
  Tensor value;
  Tensor grad;  // of a leaf: accumulated; of an op's output: only while backward() runs
  const char* op = "";
  bool requires_grad = false;
  std::string layer;        // that made it, while somebody profiles
  std::uint64_t visit = 0;  // number of the latest backward() that came by
  std::vector<Variable> inputs;
  GradientFn gradient;

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { dismantle(std::move(inputs), std::move(gradient)); }

  void accumulate(Tensor more) {
    grad = grad.empty() ? std::move(more) : sum_of(std::move(grad), more);
  }
  bool is_leaf() const { return *op == '\0'; }
  void forget_history() { dismantle(std::move(inputs), std::move(gradient)); }

  // Destroying a node may drop the last handle on its inputs and so on down the chain. What a node
  // holds is therefore queued, and only the outermost call empties the queue: no deep recursion.
  static void dismantle(std::vector<Variable> dropped_inputs, GradientFn dropped_gradient) {
    struct Remains {
      std::vector<Variable> inputs;
      GradientFn gradient;
    };
    if (dropped_inputs.empty() && !dropped_gradient) return;
    static thread_local std::vector<Remains>* queue = nullptr;
    if (queue != nullptr) {
      queue->push_back({std::move(dropped_inputs), std::move(dropped_gradient)});
      return;
    }
    std::vector<Remains> nested;
    queue = &nested;
    dropped_gradient = nullptr;
    dropped_inputs.clear();
    while (!nested.empty()) {
      const Remains last = std::move(nested.back());
      nested.pop_back();
    }
    queue = nullptr;
  }
};

Variable::Variable(Tensor value, bool requires_grad) : node_(std::make_shared<Node>()) {
  node_->value = std::move(value);
  node_->requires_grad = requires_grad;
}

Variable Variable::from_op(const char* op, Tensor value, std::vector<Variable> inputs,
                           GradientFn gradient, bool keep_inputs) {
  Variable result(std::move(value));
  result.node_->op = op;
  if (profiling()) result.node_->layer = profiled_layer();
  for (const Variable& input : inputs) {
    result.node_->requires_grad |= input.defined() && input.requires_grad();
  }
  if (result.node_->requires_grad) result.node_->gradient = std::move(gradient);
  if (result.node_->requires_grad || keep_inputs) result.node_->inputs = std::move(inputs);
  return result;
}

const Tensor& Variable::value() const {
  PERCH_CHECK(defined(), "variable: no value, the variable is undefined");
  return node_->value;
}

Tensor& Variable::mutable_value() {
  PERCH_CHECK(defined(), "variable: no value, the variable is undefined");
  return node_->value;
}

bool Variable::requires_grad() const {
  return node_ != nullptr && node_->requires_grad;
}

const char* Variable::op() const {
  return node_ == nullptr ? "" : node_->op;
}

const std::vector<Variable>& Variable::inputs() const {
  PERCH_CHECK(defined(), "variable: no inputs, the variable is undefined");
  return node_->inputs;
}

const Tensor& Variable::grad() const {
  PERCH_CHECK(defined(), "variable: no gradient, the variable is undefined");
  return node_->grad;
}

Tensor Variable::take_grad() {
  PERCH_CHECK(defined(), "variable: no gradient, the variable is undefined");
  return std::exchange(node_->grad, {});
}

void Variable::clear_grad() {
  if (defined()) node_->grad = {};
}

Variable Variable::detach() const {
  return Variable(value());
}

void Variable::backward(Tensor seed) const {
  PERCH_CHECK(requires_grad(), "backward: no variable behind this one requires a gradient");
  if (seed.empty()) {
    PERCH_CHECK(value().size() == 1, "backward: a variable of shape {} needs a seed gradient",
                shape().to_string());
    seed = Tensor::full(shape(), 1.0f);
  }
  PERCH_CHECK(seed.shape() == shape(), "backward: seed of shape {} for a variable of shape {}",
              seed.shape().to_string(), shape().to_string());

  // Depth-first post-order with an explicit stack; handles keep the nodes alive while their
  // consumers are taken apart.
  static std::atomic<std::uint64_t> visits = 0;
  const std::uint64_t visit = ++visits;
  // Deques, which grow by small pieces however large the graph is.
  std::deque<Variable> order;
  std::deque<std::pair<Variable, std::size_t>> stack{{*this, 0}};
  node_->visit = visit;
  while (!stack.empty()) {
    auto& [variable, next] = stack.back();
    const Node& node = *variable.node_;
    PERCH_CHECK(node.is_leaf() || node.gradient,
                "backward: an earlier backward() freed the graph behind a {}; compute it anew",
                node.op);
    if (next == node.inputs.size()) {
      order.push_back(std::move(variable));
      stack.pop_back();
      continue;
    }
    const Variable input = node.inputs[next++];
    if (input.requires_grad() && std::exchange(input.node_->visit, visit) != visit) {
      stack.emplace_back(input, 0);
    }
  }

  node_->accumulate(std::move(seed));
  while (!order.empty()) {
    const Variable current = std::move(order.back());
    order.pop_back();
    Node& node = *current.node_;
    if (!node.gradient) continue;
    const std::vector<Variable> inputs = std::move(node.inputs);
    const GradientFn gradient = std::move(node.gradient);
    node.forget_history();
    if (node.grad.empty()) continue;  // nothing downstream of it reached the output
    const ProfileScope scope("backward", node.layer, node.op);
    count_bytes({&node.grad});
    std::vector<Tensor> gradients = gradient(std::exchange(node.grad, {}));
    for (const Tensor& each : gradients) count_bytes({&each});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].requires_grad() || gradients[i].empty()) continue;
      inputs[i].node_->accumulate(reduce_to_shape(std::move(gradients[i]), inputs[i].shape()));
    }
  }
}

}  // namespace perch
