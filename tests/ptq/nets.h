// Networks with statistics as training leaves them, and what the tests compare of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include <perch/core/random.h>
#include <perch/datasets/synthetic.h>
#include <perch/layers/layers.h>
#include <perch/layers/state.h>
#include <perch/quant/rules.h>

namespace perch::test {

inline Dataset images(std::int64_t count, const Shape& shape = {8, 8, 3}) {
  return datasets::synthetic(count, shape, 4, 11);
}

inline Tensor batch_of(const Dataset& data) {
  Tensor batch(data.image_shape().batched(data.size()));
  for (std::int64_t i = 0; i < data.size(); ++i) {
    data.read(i, batch.data() + i * data.image_shape().size());
  }
  return batch;
}

/// A batch normalisation whose statistics are those of the last batch.
inline BatchNorm norm(const std::string& name = {}) {
  return BatchNorm({.momentum = 0.0f, .name = name});
}

/// Draws biases, betas and gammas, every third below 0, and takes statistics from some images.
inline void settle(Model& model, std::uint64_t seed) {
  for (StateEntry& entry : state_of(model)) {
    const bool gamma = entry.name.ends_with("gamma");
    if (!gamma && !entry.name.ends_with("bias") && !entry.name.ends_with("beta")) continue;
    const Random random(seed, entry.name);
    std::uint64_t i = 0;
    for (float& x : entry.weight->mutable_value().values()) {
      x = gamma ? random.uniform(i, 0.5f, 1.5f) : random.uniform(i, -0.3f, 0.3f);
      if (gamma && i % 3 == 2) x = -x;
      ++i;
    }
  }
  const Dataset data = images(32, model.input_shape());
  model.forward(Variable(batch_of(data)), {.training = true});
}

/// Convolution, depthwise convolution and dense layer with batch normalisation between.
inline Sequential separable_net(std::uint64_t seed = 1) {
  Sequential model{Conv2D(6, 3, {.padding = Padding::same}),
                   norm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.padding = Padding::same, .depth_multiplier = 2}),
                   norm(),
                   ReLU(),
                   MaxPooling2D(2),
                   Flatten(),
                   Dense(5)};
  model.build({8, 8, 3}, {.seed = seed});
  settle(model, seed);
  return model;
}

inline Tensor output_of(Model& model, const Dataset& data) {
  return model.forward(Variable(batch_of(data)), Context::for_inference()).value();
}

/// |a - b| / |b| in the Euclidean norm.
inline double relative_error(const Tensor& a, const Tensor& b) {
  double error = 0.0, size = 0.0;
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    const double x = static_cast<double>(a.values()[i]), y = static_cast<double>(b.values()[i]);
    error += (x - y) * (x - y);
    size += y * y;
  }
  return std::sqrt(error / size);
}

/// The state variable of this name.
inline Tensor& state(Model& model, const std::string& name) {
  for (StateEntry& entry : state_of(model)) {
    if (entry.name != name) continue;
    return entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer;
  }
  throw Error(ErrorCode::usage, "no variable " + name);
}

/// Kernels alone, all of them.
inline QuantRules kernels(const QuantSpec& spec) {
  return {.rules = {{.filter = {.kinds = {"Conv2D", "DepthwiseConv2D", "Dense"}},
                     .config = QuantizeConfig{.weights = {{"kernel", spec}}}}},
          .input = std::nullopt,
          .output_quantizers = false};
}

}  // namespace perch::test
