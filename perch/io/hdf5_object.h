// Object headers: the messages that make up a group or a dataset.
#pragma once

#include <vector>

#include <perch/io/hdf5_file.h>

namespace perch::io {

enum class H5MessageKind : std::uint8_t {
  dataspace = 0x01,
  link_info = 0x02,
  datatype = 0x03,
  fill_value = 0x05,
  link = 0x06,
  external_files = 0x07,
  layout = 0x08,
  filters = 0x0b,
  attribute = 0x0c,
  continuation = 0x10,
  symbol_table = 0x11,
  attribute_info = 0x15,
};

struct H5Message {
  H5MessageKind kind{};  ///< kinds beyond the enumerators are kept, and mean nothing here
  bool shared = false;   ///< the body is elsewhere, and perch does not look for it
  H5Bytes body;
};

using H5Messages = std::vector<H5Message>;

/// The address of the root group's header. Throws Error(bad_data) when the file is not HDF5, is
/// shorter than it was, or is of a version that perch does not read.
std::uint64_t root_address(const H5File& file);

/// The messages of the object header at that address, continuations included. Throws
/// Error(bad_data).
H5Messages read_messages(H5File& file, std::uint64_t address, std::string_view where);

/// The first of its kind, or null. Throws Error(bad_data) for one whose body is elsewhere.
const H5Message* find_message(const H5File& file, const H5Messages& messages, H5MessageKind kind,
                              std::string_view where);

}  // namespace perch::io
