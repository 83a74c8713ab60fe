// perch_config: perch's own complete specification of a model, JSON in a root attribute.
#pragma once

#include <string>

#include <perch/io/keras_model.h>

namespace perch::io {

inline const char* const perch_config_attribute = "perch_config";

/// Of a built model.
std::string perch_config(Model& model);
/// The inverse. Throws Error(bad_data) naming the file.
Skeleton model_from_perch(const std::string& config, const std::string& file);

}  // namespace perch::io
