// tfmot's part of Keras's JSON: wrappers, quantizers and their configurations. Internal to io.
#pragma once

#include <memory>
#include <string>

#include <perch/io/keras.h>
#include <perch/io/keras_config.h>
#include <perch/io/keras_weights.h>
#include <perch/quant/wrapper.h>

namespace perch::io {

/// {"class_name": "QuantizeWrapperV2", "config": ...}. Weights' quantizers are named by the class
/// (ConvQuantizer, DepthwiseQuantizer) with an empty config, because tfmot makes them by
/// cls(**config). What they are stands beside it, under "perch", for python/perch_keras.py.
Json wrapper_to_keras(QuantizeWrapper& wrapper, const Shape& input);
Json quantize_layer_to_keras(QuantizeLayer& layer);

/// What a reader of quantized layers goes by.
struct QuantReader {
  const LoadOptions& options;
  std::string where;  ///< beginning of messages
};

bool is_wrapper_class(const std::string& class_name);
/// `stored` is the wrapper's group in the file: the shapes of its ranges complete what the
/// configuration leaves open. Throws Error(bad_data) for a configuration class that neither tfmot's
/// own nor in the options.
std::unique_ptr<Layer> wrapper_from_keras(const Json& config, const FileLayer& stored,
                                          const QuantReader& reader);
std::unique_ptr<Layer> quantize_layer_from_keras(const Json& config, const QuantReader& reader);

}  // namespace perch::io
