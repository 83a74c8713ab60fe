// A small RAII layer over the HDF5 C API: just what Keras's layout needs. HDF5 prints nothing;
// its failures become perch::Error that names the file and the object in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <hdf5.h>

#include <perch/core/tensor.h>

namespace perch::io {

/// Owns an HDF5 identifier.
class H5Id {
 public:
  H5Id() = default;
  H5Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  H5Id(H5Id&& other) noexcept;
  H5Id& operator=(H5Id&& other) noexcept;
  ~H5Id() { reset(); }

  bool valid() const { return id_ >= 0; }
  operator hid_t() const { return id_; }
  void reset();

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// An open file, shared by all that was opened in it.
struct H5FileInfo {
  H5Id id;
  std::string name;          ///< for messages
  std::uintmax_t bytes = 0;  ///< size on disk; 0 for a file being written
};

/// A dataset to read from. Only data stored in the file itself is accepted.
class H5Dataset {
 public:
  const std::string& path() const { return path_; }
  const Shape& shape() const { return shape_; }
  bool is_float() const { return type_ == H5T_FLOAT; }
  /// Throws Error(bad_data) unless it holds floating-point numbers.
  Tensor read_floats() const;
  /// Throws Error(bad_data) unless it holds exactly one integer.
  std::int64_t read_integer() const;

 private:
  friend class H5Group;
  void check_stored() const;

  std::shared_ptr<const H5FileInfo> file_;
  H5Id id_;
  std::string path_;
  Shape shape_;
  H5T_class_t type_ = H5T_NO_CLASS;
};

/// A group and its attributes; the root group stands for the file.
class H5Group {
 public:
  /// Throws Error(missing_input) when there is no such file, Error(bad_data) when it is not HDF5 or
  /// is damaged.
  static H5Group open(const std::filesystem::path& file);
  /// A new file in memory; see image().
  static H5Group create(const std::string& name);
  /// The finished bytes of a file made by create().
  std::vector<std::byte> image() const;

  const std::string& file() const { return file_->name; }
  std::string path_of(const std::string& name) const;

  bool has(const std::string& name) const;
  H5Group group(const std::string& name) const;
  /// By a relative path such as "conv2d/kernel:0". Throws Error(bad_data) when it is missing, comes
  /// by a soft or external link, or is stored outside of the file.
  H5Dataset dataset(const std::string& path) const;

  bool has_attribute(const std::string& name) const;
  std::string text(const std::string& attribute) const;
  /// A list; one that Keras split for its length (name0, name1, ...) is joined.
  std::vector<std::string> texts(const std::string& attribute) const;

  /// Creates a group, and those on the way to it.
  H5Group add_group(const std::string& path);
  void add_text(const std::string& attribute, const std::string& value);
  /// Splits long lists as Keras does; an empty list is Keras's empty float64 array.
  void add_texts(const std::string& attribute, const std::vector<std::string>& values);
  void add_floats(const std::string& path, const Tensor& values);
  void add_int32(const std::string& path, std::int32_t value);
  void add_int64(const std::string& path, std::int64_t value);

 private:
  std::vector<std::string> read_texts(const std::string& attribute) const;
  void write_texts(const std::string& attribute, const std::vector<std::string>& values,
                   bool scalar);
  void write(const std::string& path, hid_t file_type, hid_t memory_type, const Shape& shape,
             const void* data);
  void check_hard_links(const std::string& path) const;

  std::shared_ptr<const H5FileInfo> file_;
  H5Id id_;
  std::string path_;  // without leading slash; "" for the root
};

}  // namespace perch::io
