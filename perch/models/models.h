// Ready networks for [32, 32, 3] images and ten classes, each ending in a softmax as the original
// script's does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <perch/layers/model.h>

namespace perch {

/// Conv2D 32 3x3 same - BatchNorm - Activation relu - Flatten - Dense 10 softmax.
Sequential temp_net();
/// A small depthwise-separable network: Conv2D 16 3x3 stride 2 - BN - ReLU - DepthwiseConv2D 3x3 -
/// BN - ReLU - Conv2D 32 1x1 - BN - ReLU - Flatten - Dense 10 softmax; same padding.
Sequential ds_net();
/// Conv2D 16 3x3 - BN - ReLU - DepthwiseConv2D 3x3 - BN - ReLU - global average pooling - Dense 10
/// softmax; same padding.
Sequential depthwise_net();

/// By name; not built. Throws Error(usage) naming the nearest.
std::unique_ptr<Model> make_model(const std::string& name);
const std::vector<std::string>& model_names();

}  // namespace perch
