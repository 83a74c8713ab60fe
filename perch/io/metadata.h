// perch_metadata: a caller's own notes in a model file, JSON in a root attribute.
#pragma once

#include <map>
#include <string>

#include <perch/io/hdf5_writer.h>

namespace perch::io {

/// Writes no attribute for an empty map.
void write_metadata(H5Writer& root, const std::map<std::string, std::string>& metadata);

}  // namespace perch::io
