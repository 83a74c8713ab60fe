// How a Functional model calls its layers: the "inbound_nodes" of Keras's JSON. Internal to io.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <perch/io/spec_json.h>
#include <perch/layers/layer.h>

namespace perch::io {

struct KerasCall {
  std::vector<std::string> sources;  ///< names of the layers that feed it; none: an InputLayer
  bool inference = false;            ///< called with training=False
};

/// The number of a layer's only call in Keras's JSON: a model's call 0 is its own definition.
int only_call(bool is_model);

/// `layer`: {"class_name", "name", "inbound_nodes", ...}; `models`: names of the layers that are
/// models. Throws Error(bad_data) beginning with
/// `where` for a layer that is called twice, or with arguments other than training=False.
KerasCall call_of(const Json& layer, const std::string& name, const std::set<std::string>& models,
                  const std::string& where);

/// The layer, or a model's, as training=False has it run: a BatchNormalization's statistics are
/// frozen. Throws Error(bad_data) beginning with `where` for a kind that perch cannot hold in
/// inference: Dropout, and layers that are quantized.
void hold_in_inference(Layer& layer, const std::string& where);

}  // namespace perch::io
