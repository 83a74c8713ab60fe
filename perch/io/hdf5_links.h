// A group's links: the names in it and where they lead.
#pragma once

#include <vector>

#include <perch/io/hdf5_object.h>

namespace perch::io {

struct H5Link {
  std::string_view name;  ///< in the file's bytes
  bool hard = false;      ///< to an object of this file; others are not followed
  std::uint64_t address = h5_nowhere;
};

/// Sorted by name.
using H5Links = std::vector<H5Link>;

/// The links of a group with these messages. Throws Error(bad_data) when it is no group, is damaged
/// or keeps them in a form that perch does not read.
H5Links read_links(H5File& file, const H5Messages& messages, std::string_view where);

/// Null when there is none of that name.
const H5Link* find_link(const H5Links& links, std::string_view name);

}  // namespace perch::io
