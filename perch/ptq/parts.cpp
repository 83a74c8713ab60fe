#include <algorithm>

#include <perch/core/check.h>
#include <perch/layers/graph.h>
#include <perch/ptq/parts.h>

namespace perch {

Layer& unwrapped(Layer& layer) {
  auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
  return wrapper == nullptr ? layer : wrapper->layer();
}

bool is_linear(const Layer& layer) {
  return !main_weight(layer.kind()).empty();
}

void refuse_folded(const char* verb, Model& model) {
  for_each_layer(model, [&](Layer& layer) {
    auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
    PERCH_CHECK(wrapper == nullptr || !wrapper->config().fold,
                "{}: batch normalisation is folded into {}, whose quantized kernel is not its own "
                "weight; quantize without folding, or train on instead",
                verb, weighted_layer(wrapper->layer()).name());
  });
}

std::vector<WrappedLinear> wrapped_linear_layers(Model& model) {
  std::vector<WrappedLinear> found;
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    Layer& layer = *model.nodes()[i].layer;
    if (auto* const inner = dynamic_cast<Model*>(&layer)) {
      std::ranges::copy(wrapped_linear_layers(*inner), std::back_inserter(found));
    } else if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      if (is_linear(wrapper->layer())) {
        found.push_back({&model, static_cast<NodeId>(i), wrapper});
      }
    }
  }
  return found;
}

void check_images(const char* verb, const Model& model, const Dataset& data, std::int64_t images,
                  std::int64_t batch_size) {
  PERCH_CHECK(model.built(), "{}: the model is not built; call build() first", verb);
  PERCH_CHECK(
      images >= 1 && images <= data.size(),
      "{}: {} images wanted, there are {}; take at least 1 and at most as many as there are", verb,
      images, data.size());
  PERCH_CHECK(data.image_shape() == model.input_shape(),
              "{}: the images are {}, the model takes {}; choose images of that shape", verb,
              data.image_shape().to_string(), model.input_shape().to_string());
  PERCH_CHECK(batch_size >= 1, "{}: batch size {} is below 1", verb, batch_size);
}

}  // namespace perch
