// Small networks, data and helpers that the tests of the trainer share.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/interrupt.h>
#include <perch/datasets/synthetic.h>
#include <perch/perch.h>

namespace perch::test {

inline const Shape small_image{8, 8, 3};

/// Conv2D - BatchNorm - ReLU - Flatten - Dense, built.
inline Sequential small_net(std::int64_t classes = 4, const std::string& last = "softmax") {
  Sequential model{Conv2D(4, 3, {.padding = Padding::same}), BatchNorm(), Activation("relu"),
                   Flatten(), Dense(classes, {.activation = last})};
  model.build(small_image, {.seed = 3});
  return model;
}

/// Wraps the convolutions: per-channel AllValues kernels, MovingAverage activations.
inline void quantize(Model& model) {
  const QuantizeConfig config{
      .weights = {{"kernel", {.granularity = per_channel, .range = AllValues{}}}},
      .activation = QuantSpec{.range = MovingAverage{}}};
  const auto convolutions = [&](const Layer& layer) {
    return layer.kind().ends_with("Conv2D") ? std::optional(config) : std::nullopt;
  };
  apply_in_place(model, choose_configs(model, convolutions), {});
}

inline Dataset small_data(std::int64_t count = 64, std::int64_t classes = 4) {
  return datasets::synthetic(count, small_image, classes, 5);
}

/// As many classes as images: the label is the image's index.
inline Dataset numbered_images(std::int64_t count) {
  std::vector<float> images(static_cast<std::size_t>(count * small_image.size()), 0.5f);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  std::iota(labels.begin(), labels.end(), 0);
  return from_memory(std::move(images), std::move(labels), small_image);
}

/// Every bit of a model's state.
inline std::vector<std::uint32_t> state_bits(Layer& model) {
  std::vector<std::uint32_t> bits;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.tensor() == nullptr) {
      bits.push_back(static_cast<std::uint32_t>(*entry.counter));
      continue;
    }
    const auto values = entry.tensor()->values();
    const std::size_t at = bits.size();
    bits.resize(at + values.size());
    std::memcpy(bits.data() + at, values.data(), values.size_bytes());
  }
  return bits;
}

/// Keeps every state that a training was in, or stops it behind a step.
class Keep final : public Callback {
 public:
  explicit Keep(std::int64_t interrupt_at = -1) : interrupt_at_(interrupt_at) {}
  bool keeps_states() const override { return true; }
  void on_state(Trainer& trainer, bool leaving) override {
    left = leaving;
    states.push_back(std::make_shared<const TrainingState>(trainer.state()));
    if (states.back()->step == interrupt_at_) request_interrupt();
  }
  std::vector<std::shared_ptr<const TrainingState>> states;
  bool left = false;

 private:
  std::int64_t interrupt_at_;
};

}  // namespace perch::test
