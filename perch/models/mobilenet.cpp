#include <algorithm>
#include <array>
#include <cmath>

#include <perch/core/check.h>
#include <perch/layers/layers.h>
#include <perch/models/models.h>

namespace perch {
namespace {

void check_width(const char* name, float width) {
  PERCH_CHECK(std::isfinite(width) && width > 0.0f && width <= 4.0f,
              "the width of {} is {}, must be above 0 and at most 4", name, width);
}

std::string named(const char* stem, float width) {
  return width == 1.0f ? stem : fmt::format("{}_{}", stem, width);
}

// make_divisible of the authors' own code (tensorflow/models).
std::int64_t scaled(std::int64_t channels, float width) {
  constexpr std::int64_t divisor = 8;
  const float wanted = static_cast<float>(channels) * width;
  const std::int64_t nearest = static_cast<std::int64_t>(wanted + divisor / 2.0f) / divisor;
  const std::int64_t rounded = std::max<std::int64_t>(nearest, 1) * divisor;
  return static_cast<float>(rounded) < 0.9f * wanted ? rounded + divisor : rounded;
}

Conv2D convolution(std::int64_t filters, Size2D size) {
  return {filters, size, {.padding = Padding::same, .use_bias = false}};
}

DepthwiseConv2D depthwise(std::int64_t stride) {
  return DepthwiseConv2D(3, {.strides = stride, .padding = Padding::same, .use_bias = false});
}

ReLU clipped_relu() {
  return ReLU({.max_value = 6.0f});
}

}  // namespace

Sequential mobilenet_v1(const MobileNetOptions& options) {
  check_width("mobilenet_v1", options.width);
  struct Block {
    std::int64_t filters, stride;
  };
  constexpr std::array<Block, 13> blocks{{{64, 1},
                                          {128, 1},  // 2 in the paper
                                          {128, 1},
                                          {256, 2},
                                          {256, 1},
                                          {512, 2},
                                          {512, 1},
                                          {512, 1},
                                          {512, 1},
                                          {512, 1},
                                          {512, 1},
                                          {1024, 2},
                                          {1024, 1}}};
  Sequential net;
  net.add(convolution(scaled(32, options.width), 3)).add(BatchNorm()).add(clipped_relu());
  for (const auto& [filters, stride] : blocks) {
    net.add(depthwise(stride)).add(BatchNorm()).add(clipped_relu());
    net.add(convolution(scaled(filters, options.width), 1)).add(BatchNorm()).add(clipped_relu());
  }
  net.add(GlobalAveragePooling2D()).add(Dense(options.classes, {.activation = "softmax"}));
  net.set_name(named("mobilenet_v1", options.width));
  return net;
}

Graph mobilenet_v2(const MobileNetOptions& options) {
  check_width("mobilenet_v2", options.width);
  struct Stage {
    std::int64_t expansion, filters, blocks, stride;  // t, c, n, s
  };
  constexpr std::array<Stage, 7> stages{{{1, 16, 1, 1},
                                         {6, 24, 2, 1},  // 2 in the paper
                                         {6, 32, 3, 2},
                                         {6, 64, 4, 2},
                                         {6, 96, 3, 1},
                                         {6, 160, 3, 2},
                                         {6, 320, 1, 1}}};
  Graph net;
  const auto normalised = [&](auto layer, NodeId x) {
    return net.add(BatchNorm(), {net.add(std::move(layer), {x})});
  };
  const auto activated = [&](auto layer, NodeId x) {
    return net.add(clipped_relu(), {normalised(std::move(layer), x)});
  };
  std::int64_t channels = scaled(32, options.width);
  NodeId x = activated(convolution(channels, 3), Model::input);
  for (const Stage& stage : stages) {
    const std::int64_t filters = scaled(stage.filters, options.width);
    for (std::int64_t block = 0; block < stage.blocks; ++block) {
      const std::int64_t stride = block == 0 ? stage.stride : 1;
      NodeId y = x;
      if (stage.expansion > 1) y = activated(convolution(stage.expansion * channels, 1), y);
      y = activated(depthwise(stride), y);
      y = normalised(convolution(filters, 1), y);
      x = stride == 1 && filters == channels ? net.add(Add(), {x, y}) : y;
      channels = filters;
    }
  }
  x = activated(convolution(scaled(1280, std::max(options.width, 1.0f)), 1), x);
  const NodeId mean = net.add(GlobalAveragePooling2D(), {x});
  net.add(Dense(options.classes, {.activation = "softmax"}), {mean});
  net.set_name(named("mobilenet_v2", options.width));
  return net;
}

}  // namespace perch
