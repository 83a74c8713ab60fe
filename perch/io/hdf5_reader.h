// Reading HDF5 files from anybody: the part of the format that Keras, h5py's default settings and
// perch write. docs/formats.md says which, and what is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/core/tensor.h>
#include <perch/io/hdf5_links.h>
#include <perch/io/hdf5_types.h>

namespace perch::io {

/// A dataset to read from. Only data stored in one piece in the file itself is accepted.
class H5Dataset {
 public:
  const std::string& path() const { return path_; }
  const Shape& shape() const { return shape_; }
  bool is_float() const { return type_.kind == H5Type::Kind::floating; }
  /// Throws Error(bad_data) unless it holds floating-point numbers, or when more has been read from
  /// the file than it can hold.
  Tensor read_floats() const;
  /// Throws Error(bad_data) unless it holds exactly one integer.
  std::int64_t read_integer() const;

 private:
  friend class H5Group;
  H5Dataset(std::shared_ptr<H5File> file, std::uint64_t address, std::string path);
  void read_shape(const H5Messages& messages);
  void find_values(const H5Messages& messages);

  std::shared_ptr<H5File> file_;
  std::string path_;
  Shape shape_;
  std::optional<std::uint64_t> count_;  // none only while it is being opened
  H5Type type_;
  bool written_ = false;  ///< otherwise all values are zero
  H5Bytes values_;
};

/// A group and its attributes; the root group stands for the file, whose bytes it keeps in memory.
/// Whatever the file holds, each function returns or throws Error(bad_data) soon, and all that is
/// kept is in proportion to the file. Groups and datasets of one file belong to one thread at a
/// time.
class H5Group {
 public:
  H5Group() = default;  ///< of no file: only to be assigned to
  /// Throws Error(missing_input) when there is no such file, Error(bad_data) when it is not HDF5 or
  /// is damaged.
  static H5Group open(const std::filesystem::path& file);
  /// The same of bytes in memory; the name is for messages.
  static H5Group open(std::string name, std::vector<std::byte> bytes);

  const std::string& file() const { return file_->name(); }
  std::string path_of(const std::string& name) const;

  bool has(const std::string& name) const;
  /// Both by a relative path such as "conv2d/kernel:0". Throw Error(bad_data) when it is missing,
  /// comes by a soft or external link, is damaged, or is stored in a way that perch does not read.
  H5Group group(const std::string& path) const;
  H5Dataset dataset(const std::string& path) const;

  /// Throws Error(bad_data) when the attributes are kept in a way that perch does not read.
  bool has_attribute(const std::string& name) const;
  /// Throws Error(bad_data) unless the attribute is one text.
  std::string text(const std::string& attribute) const;
  /// A list; one that Keras split for its length (name0, name1, ...) is joined. Throws
  /// Error(bad_data) when it is missing or no list of texts.
  std::vector<std::string> texts(const std::string& attribute) const;

 private:
  explicit H5Group(std::shared_ptr<H5File> file);
  H5Group(std::shared_ptr<H5File> file, std::uint64_t address, std::string path);
  std::string where() const { return path_.empty() ? "the root group" : path_; }
  std::uint64_t address_of(const std::string& name) const;
  std::vector<std::string> read_texts(const std::string& attribute) const;

  std::shared_ptr<H5File> file_;
  std::string path_;  // without leading slash; "" for the root
  H5Messages messages_;
  H5Links links_;
};

}  // namespace perch::io
