// Attributes: messages in an object's header that hold a name and a little data.
#pragma once

#include <string>
#include <vector>

#include <perch/io/hdf5_object.h>

namespace perch::io {

/// The attribute of that name, or null. Throws Error(bad_data) when a message is damaged, or when
/// there is none and others are kept in a way that perch does not read.
const H5Message* find_attribute(H5File& file, const H5Messages& messages, std::string_view name,
                                std::string_view where);

/// The texts of such an attribute; none for an empty one of any type. Throws Error(bad_data) when
/// it holds anything else.
std::vector<std::string> read_texts(H5File& file, const H5Message& attribute,
                                    std::string_view where);

}  // namespace perch::io
