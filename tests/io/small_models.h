// Small models for the file tests.
#pragma once

#include <memory>

#include <perch/perch.h>

namespace perch::test {

inline Shape small_image() {
  return {6, 6, 2};
}

inline Sequential small_net(std::uint64_t seed = 1) {
  Sequential model{Conv2D(4, 3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.strides = 2, .activation = "relu"}),
                   Flatten(),
                   Dense(3, {.activation = "softmax"})};
  model.set_name("small_net");
  model.build(small_image(), {.seed = seed});
  return model;
}

inline Tensor some_images(std::int64_t count = 3) {
  Tensor images(small_image().batched(count));
  const Random random(7, "images");
  for (std::int64_t i = 0; i < images.size(); ++i) {
    images.data()[i] = random.uniform(static_cast<std::uint64_t>(i));
  }
  return images;
}

/// Moves ranges and statistics off their initial values.
inline void train_a_little(Model& model) {
  for (std::uint32_t step = 0; step < 2; ++step) {
    model.forward(Variable(some_images()), Context::for_training(3, step));
  }
}

inline std::map<std::string, QuantizeConfig> per_channel_configs() {
  const QuantizeConfig config{
      .weights = {{"kernel", {.bits = 5, .granularity = per_channel, .symmetric = true}}},
      .activation = QuantSpec{.bits = 7, .range = MovingAverage{.decay = 0.75f}}};
  return {{"conv2d", config}, {"depthwise_conv2d", config}};
}

inline Sequential small_quantized_net() {
  Sequential model = small_net();
  apply_in_place(model, per_channel_configs(), {});
  train_a_little(model);
  return model;
}

}  // namespace perch::test
