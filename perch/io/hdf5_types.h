// What an HDF5 object declares of its elements: how many, and of which type.
#pragma once

#include <optional>
#include <vector>

#include <perch/io/hdf5_file.h>

namespace perch::io {

/// A dataspace.
struct H5Space {
  bool null = false;  ///< holds nothing, not even one element
  std::vector<std::uint64_t> extents;

  /// Number of elements; none when it is no 64-bit number.
  std::optional<std::uint64_t> count() const;
};

/// A datatype, as far as perch knows it.
struct H5Type {
  enum class Kind {
    integer,
    floating,       ///< IEEE 754 of 2, 4 or 8 bytes
    text,           ///< of `size` bytes, padded
    variable_text,  ///< a reference into a heap
    other,
  };
  Kind kind = Kind::other;
  std::uint64_t size = 0;  ///< bytes of an element, at least one
  bool big_endian = false;
  bool is_signed = false;
};

/// Both read a message's body. Throw Error(bad_data) when it is damaged or of an unknown version.
H5Space read_space(H5Cursor& cursor);
H5Type read_type(H5Cursor& cursor);

/// The values of `bytes`, which hold values.size() elements of that floating type; doubles are
/// rounded.
void to_floats(const H5Type& type, H5Bytes bytes, std::span<float> values);
/// An integer element; none when 64 signed bits cannot hold it.
std::optional<std::int64_t> to_integer(const H5Type& type, H5Bytes element);

}  // namespace perch::io
