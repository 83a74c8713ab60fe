// What this room asks of models and layers. For this room's sources.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>
#include <perch/quant/wrapper.h>

namespace perch {

/// The layer in a wrapper, else the layer itself.
Layer& unwrapped(Layer& layer);
/// Conv2D, DepthwiseConv2D, Dense.
bool is_linear(const Layer& layer);

/// Throws Error(usage), opening with `verb` and naming the layer, for a model with folded batch
/// normalisation: what moves or measures single kernels or statistics does not fit it.
void refuse_folded(const char* verb, Model& model);

/// A wrapped linear layer and where it stands.
struct WrappedLinear {
  Model* model;
  NodeId node;
  QuantizeWrapper* wrapper;

  Layer& layer() const { return wrapper->layer(); }
};
/// In the model's order, those of nested models too.
std::vector<WrappedLinear> wrapped_linear_layers(Model& model);

/// Throws Error(usage), opening with `verb`, unless the model is built for such images, there are
/// `images` of them and the batch size is at least 1.
void check_images(const char* verb, const Model& model, const Dataset& data, std::int64_t images,
                  std::int64_t batch_size);

}  // namespace perch
