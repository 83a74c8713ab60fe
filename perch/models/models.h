// Ready networks for [32, 32, 3] images and ten classes unless told otherwise, each ending in a
// softmax as the original script's does.
#pragma once

#include <memory>
#include <optional>
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
/// Conv2D 32 3x3 - BN - ReLU, five depthwise-separable blocks of filters/stride 64/1, 128/2, 128/1,
/// 256/2, 256/1, global average pooling - Dense 10 softmax. A block: DepthwiseConv2D 3x3 with the
/// stride - BN - ReLU - Conv2D 1x1 - BN - ReLU; same padding.
Sequential dsc_net();

/// How a residual block that halves the image and doubles the channels passes its input on.
enum class Shortcut {
  zero_padded,  ///< every other pixel, the new channels zero; no weights (option A of the paper)
  projection,   ///< Conv2D 1x1 with stride 2 - BN (option B)
};
/// "zero_padded", "projection": as the command line calls them, in Shortcut's order.
const std::vector<std::string>& shortcut_names();
/// Throws Error(usage) naming the nearest.
Shortcut shortcut_of(const std::string& name);
struct ResNetOptions {
  Shortcut shortcut = Shortcut::zero_padded;
  std::int64_t classes = 10;
  /// Of the images, [H, W, C]: zero_padded must know it, projection takes any.
  Shape image{32, 32, 3};
};
/// ResNet-20 of He et al. 2015, section 4.2: Conv2D 16 3x3 - BN - ReLU, three stages of three
/// blocks with 16, 32 and 64 filters, global average pooling - Dense softmax. A block: Conv2D 3x3 -
/// BN - ReLU - Conv2D 3x3 - BN - Add of the shortcut - ReLU; the first one of stages two and three
/// has stride 2. Same padding, no biases. zero_padded is made of Keras's layers too (an
/// AveragePooling2D of size 1, then a ZeroPadding2D between two Reshapes). Called resnet20, or
/// resnet20_projection.
/// Throws Error(usage) for an image that is not [H, W, C].
Graph resnet20(const ResNetOptions& options = {});

struct MobileNetOptions {
  /// Multiplies the channels of every convolution, which are then rounded to the nearest multiple
  /// of 8 that is not below 90 % of the product; above 0, at most 4.
  float width = 1.0f;
  std::int64_t classes = 10;
};
/// Howard et al. 2017, table 1, for small images: the stem and the block of 128 filters that has
/// stride 2 there have stride 1, so that 32x32 pixels end as 4x4. Conv2D 32 3x3 - BN - ReLU6,
/// thirteen depthwise-separable blocks as dsc_net's with ReLU6, global average pooling - Dense
/// softmax; no biases before BN. Called mobilenet_v1, or mobilenet_v1_0.25 with that width.
/// Throws Error(usage) for a width out of range.
Sequential mobilenet_v1(const MobileNetOptions& options = {});
/// Sandler et al. 2018, table 2, for small images: the stem and the stage of 24 filters have stride
/// 1, so that 32x32 pixels end as 4x4. Conv2D 32 3x3 - BN - ReLU6, seventeen inverted residual
/// blocks, Conv2D 1280 1x1 - BN - ReLU6, global average pooling - Dense softmax. A block: Conv2D
/// 1x1 to `expansion` times the channels - BN - ReLU6 (not where that is 1) - DepthwiseConv2D 3x3 -
/// BN - ReLU6 - Conv2D 1x1 - BN, and Add of its input where stride is 1 and channels are equal; no
/// biases before BN. A width below 1 leaves the 1280. Names and errors as mobilenet_v1.
Graph mobilenet_v2(const MobileNetOptions& options = {});

struct ModelOptions {
  std::optional<float> width = std::nullopt;        ///< only for the mobilenets; 1 unless given
  std::optional<Shortcut> shortcut = std::nullopt;  ///< only for resnet20; zero_padded unless given
  Shape image{32, 32, 3};  ///< [H, W, C] of the images it will be built for
};
/// By name; not built. Throws Error(usage) naming the nearest, and for an option given to a network
/// that has none of the kind or a width out of range.
std::unique_ptr<Model> make_model(const std::string& name, const ModelOptions& options = {});
const std::vector<std::string>& model_names();

}  // namespace perch
