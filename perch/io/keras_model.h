// Whole models in Keras's JSON (the attribute model_config). Internal to io.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/io/keras_quant.h>
#include <perch/layers/model.h>

namespace perch::io {

struct KerasModel {
  Json config;                           ///< {"class_name": "Sequential" or "Functional", ...}
  std::vector<std::string> layer_names;  ///< of the weights' groups, in order
};
/// Of a built model.
KerasModel model_to_keras(Model& model);

/// A model without weights, and what building it needs.
struct Skeleton {
  std::unique_ptr<Model> model;
  Shape input_shape;
  /// Keras's settings of the BatchNormalizations, whose axis only the input's shape can confirm.
  std::map<const Layer*, Json> norms = {};
};
/// Throws Error(bad_data) naming a layer or setting that perch does not have.
Skeleton model_from_keras(const Json& model_config, const std::vector<FileLayer>& layers,
                          const QuantReader& reader);

/// What a file has of a weight.
struct StoredWeight {
  std::string path;  ///< in the file, for messages
  Shape shape;
};
/// The weight `leaf` ("kernel") of the layer `owner`, which is, or lies in, the model's layer
/// `top`; nothing where the file has none.
using FindStored = std::function<std::optional<StoredWeight>(
    const std::string& top, const std::string& owner, const std::string& leaf)>;
/// In Keras's groups, which must outlive it. Asked for in the model's order.
FindStored find_in(const std::vector<FileLayer>& layers);

/// Builds the model; before any weight is allocated its size is compared with the file's. Throws
/// Error(bad_data) naming the layer that does not fit.
void build_checked(Skeleton& skeleton, const FindStored& find, const std::string& file);

}  // namespace perch::io
