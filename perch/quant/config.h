// QuantizeConfig: what of a layer is quantized and how, as plain data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/shape.h>
#include <perch/quant/spec.h>

namespace perch {

class Layer;

/// By what kernels are scaled while statistics move; frozen, both are the moving ones.
enum class FoldStatistics {
  running,  ///< The moving ones, corrected to the batch's behind the convolution
  batch,    ///< The batch's, from a first convolution with the kernel as it is
};
/// "running", "batch". Throws Error(usage) naming the nearest.
FoldStatistics fold_statistics(const std::string& name);
std::string fold_statistics_name(FoldStatistics statistics);

struct QuantizeConfig {
  /// By weight name. "kernel" means the layer's main weight whatever it is called (a
  /// DepthwiseConv2D's depthwise_kernel). A name that the layer does not have is an error.
  std::map<std::string, QuantSpec> weights = {};
  /// The layer's activation: after linear, relu, relu6, leaky_relu (state post_activation_*);
  /// before softmax, sigmoid, tanh (pre_activation_*).
  std::optional<QuantSpec> activation = std::nullopt;
  /// The layer's output (output_*).
  std::optional<QuantSpec> output = std::nullopt;
  /// Folds the BatchNormalization that alone reads this layer into it; weights are quantized as
  /// folded (perch/quant/folding.h). Of the weights, only the main one can be quantized then.
  std::optional<FoldStatistics> fold = std::nullopt;
  /// The bias is rounded to int32 at input scale times weight scale (perch/quant/integer_bias.h).
  bool integer_bias = false;
  friend bool operator==(const QuantizeConfig&, const QuantizeConfig&) = default;
};

/// Axes of a weight that are a layer kind's output channels: Conv2D kernel {3}, DepthwiseConv2D
/// {2, 3}, Dense {1}; the last axis for anything else, none for a single number.
std::vector<int> channel_axes(const std::string& layer_kind, const Shape& weight);
/// Stored name of a layer kind's main weight: "kernel", "depthwise_kernel"; "" when it has none.
std::string main_weight(const std::string& layer_kind);
/// Name of the activation function that a layer applies ("linear", "relu", ...); "" for a kind that
/// has no such setting.
std::string activation_of(Layer& layer);

}  // namespace perch
