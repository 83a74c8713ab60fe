#include <array>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/layers.h>
#include <perch/models/models.h>

namespace perch {
namespace {

struct Entry {
  std::string name;
  bool has_width, has_shortcut;
  std::unique_ptr<Model> (*make)(const ModelOptions&);
};

template <class M>
std::unique_ptr<Model> owned(M model) {
  return std::make_unique<M>(std::move(model));
}

MobileNetOptions mobilenet_options(const ModelOptions& options) {
  return {.width = options.width.value_or(1.0f)};
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{
      {"temp_net", false, false, [](const ModelOptions&) { return owned(temp_net()); }},
      {"ds_net", false, false, [](const ModelOptions&) { return owned(ds_net()); }},
      {"depthwise_net", false, false, [](const ModelOptions&) { return owned(depthwise_net()); }},
      {"dsc_net", false, false, [](const ModelOptions&) { return owned(dsc_net()); }},
      {"resnet20", false, true,
       [](const ModelOptions& o) {
         return owned(
             resnet20({.shortcut = o.shortcut.value_or(Shortcut::zero_padded), .image = o.image}));
       }},
      {"mobilenet_v1", true, false,
       [](const ModelOptions& o) { return owned(mobilenet_v1(mobilenet_options(o))); }},
      {"mobilenet_v2", true, false,
       [](const ModelOptions& o) { return owned(mobilenet_v2(mobilenet_options(o))); }},
  };
  return all;
}

/// That the network has an option which was given; `option` is its name in ModelOptions too.
void check_has(bool Entry::*has, const Entry& entry, const char* what, const char* option) {
  if (entry.*has) return;
  std::vector<std::string> with_option;
  for (const Entry& other : entries()) {
    if (other.*has) with_option.push_back(other.name);
  }
  fail(ErrorCode::usage, "{} has no {}; leave --{} out (ModelOptions::{}) or choose {}", entry.name,
       what, option, option, fmt::join(with_option, " or "));
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

Sequential dsc_net() {
  Sequential model{Conv2D(32, 3, {.padding = Padding::same}), BatchNorm(), ReLU()};
  struct Block {
    std::int64_t filters, stride;
  };
  constexpr std::array<Block, 5> blocks{{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}}};
  for (const auto& [filters, stride] : blocks) {
    model.add(DepthwiseConv2D(3, {.strides = stride, .padding = Padding::same}));
    model.add(BatchNorm()).add(ReLU());
    model.add(Conv2D(filters, 1, {.padding = Padding::same})).add(BatchNorm()).add(ReLU());
  }
  model.add(GlobalAveragePooling2D()).add(Dense(10, {.activation = "softmax"}));
  model.set_name("dsc_net");
  return model;
}

std::unique_ptr<Model> make_model(const std::string& name, const ModelOptions& options) {
  for (const Entry& entry : entries()) {
    if (entry.name != name) continue;
    if (options.width) check_has(&Entry::has_width, entry, "width multiplier", "width");
    if (options.shortcut) check_has(&Entry::has_shortcut, entry, "shortcut to choose", "shortcut");
    return entry.make(options);
  }
  fail(ErrorCode::usage, "unknown model \"{}\"; there are {}", name, choices(name, model_names()));
}

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const Entry& entry : entries()) result.push_back(entry.name);
    return result;
  }();
  return names;
}

}  // namespace perch
