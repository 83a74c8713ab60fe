// Activation functions, elementwise; softmax along the last axis.
#pragma once

#include <string>
#include <vector>

#include <perch/core/variable.h>

namespace perch {

Variable relu(const Variable& x);
Variable relu6(const Variable& x);
Variable leaky_relu(const Variable& x, float negative_slope);
Variable sigmoid(const Variable& x);
Variable tanh(const Variable& x);
/// Along the last axis. Its input stays reachable through inputs() even outside of training, so
/// that a loss can use the logits behind it.
Variable softmax(const Variable& x);

/// By Keras's name: linear, relu, relu6, leaky_relu (slope 0.2), sigmoid, tanh, softmax.
/// Throws Error(usage) for another, naming the nearest.
Variable activation(const std::string& name, const Variable& x);
const std::vector<std::string>& activation_names();

}  // namespace perch
