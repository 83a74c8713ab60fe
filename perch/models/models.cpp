#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/layers.h>
#include <perch/models/models.h>

namespace perch {
namespace {

using Factory = Sequential (*)();

const std::vector<std::pair<std::string, Factory>>& factories() {
  static const std::vector<std::pair<std::string, Factory>> all{
      {"temp_net", temp_net}, {"ds_net", ds_net}, {"depthwise_net", depthwise_net}};
  return all;
}

}  // namespace

Sequential temp_net() {
  Sequential model{Conv2D(32, 3, {.padding = Padding::same}), BatchNorm(), Activation("relu"),
                   Flatten(), Dense(10, {.activation = "softmax"})};
  model.set_name("temp_net");
  return model;
}

Sequential ds_net() {
  Sequential model{Conv2D(16, 3, {.strides = 2, .padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   Conv2D(32, 1, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   Flatten(),
                   Dense(10, {.activation = "softmax"})};
  model.set_name("ds_net");
  return model;
}

Sequential depthwise_net() {
  Sequential model{Conv2D(16, 3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   GlobalAveragePooling2D(),
                   Dense(10, {.activation = "softmax"})};
  model.set_name("depthwise_net");
  return model;
}

std::unique_ptr<Model> make_model(const std::string& name) {
  for (const auto& [known, factory] : factories()) {
    if (known == name) return std::make_unique<Sequential>(factory());
  }
  fail(ErrorCode::usage, "unknown model \"{}\"; there are {}", name, choices(name, model_names()));
}

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto& [name, factory] : factories()) result.push_back(name);
    return result;
  }();
  return names;
}

}  // namespace perch
