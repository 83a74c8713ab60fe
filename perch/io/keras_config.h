// Plain layers in Keras's JSON: "config" objects and the LayerSpecs they stand for. Models are in
// keras_model.h, quantization is in keras_quant.h. Internal to io.
#pragma once

#include <cstdint>
#include <string>

#include <perch/core/shape.h>
#include <perch/io/spec_json.h>
#include <perch/layers/spec.h>

namespace perch::io {

/// More elements than any sensible image or activation has.
inline constexpr std::int64_t max_elements = std::int64_t{1} << 26;

/// The "config" object of a layer whose (first) input has this shape, without batch axis. A kind
/// that Keras does not have is written with its settings as they are.
Json keras_config(const LayerSpec& spec, const Shape& input);

/// Whether Keras has the class and perch the same layer.
bool is_keras_class(const std::string& class_name);

/// Throws Error(bad_data) beginning with `where` for a class of plain layers that perch has not.
void check_layer_class(const std::string& class_name, const std::string& name,
                       const std::string& where);

/// The specification of {"class_name", "config"}. Throws Error(bad_data) beginning with `where`
/// for an unknown class, a missing setting, or one that perch does not support. Initializers,
/// regularizers and constraints say nothing about a trained model and are passed over.
LayerSpec spec_from_keras(const std::string& class_name, const Json& config,
                          const std::string& where);

/// Throws Error(bad_data) beginning with `where` for an InputLayer of other inputs than dense
/// float32 ones. A fixed batch size says nothing.
void check_input_layer(const Json& config, const std::string& where);

/// Throws Error(bad_data) unless a BatchNormalization's axis is the last of its input.
void check_norm_axis(const Json& config, const Shape& input, const std::string& where);

/// A member of a JSON object. Throws Error(bad_data) beginning with `where` when it is missing.
const Json& required(const Json& object, const char* key, const std::string& where);
std::string required_text(const Json& object, const char* key, const std::string& where);

/// [null, 32, 32, 3] as {32, 32, 3}, and back. Throws Error(bad_data) for extents left open or
/// beyond max_elements.
Shape shape_from_keras(const Json& batch_shape, const std::string& where);
Json shape_to_keras(const Shape& shape);

}  // namespace perch::io
