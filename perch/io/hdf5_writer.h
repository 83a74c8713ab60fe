// Writing HDF5 files: a small RAII layer over the C library, which never reads a file. HDF5 prints
// nothing; its failures become perch::Error that names the file and the object in it.
#pragma once

#include <cstddef>
#include <cstdint>
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

/// A file being written, shared by all that was opened in it.
struct H5FileInfo {
  H5Id id;
  std::string name;  ///< for messages
};

/// A group to write to; the root group stands for the file. All that write throw Error(io) when
/// HDF5 cannot.
class H5Writer {
 public:
  /// A new file in memory; see image().
  static H5Writer create(const std::string& name);
  /// The finished bytes of a file made by create().
  std::vector<std::byte> image() const;

  /// Creates a group, and those on the way to it.
  H5Writer add_group(const std::string& path);
  void add_text(const std::string& attribute, const std::string& value);
  /// Splits long lists as Keras does; an empty list is Keras's empty float64 array.
  void add_texts(const std::string& attribute, const std::vector<std::string>& values);
  void add_floats(const std::string& path, const Tensor& values);
  void add_int32(const std::string& path, std::int32_t value);
  void add_int64(const std::string& path, std::int64_t value);

 private:
  const std::string& file() const { return file_->name; }
  std::string path_of(const std::string& name) const;
  void write_texts(const std::string& attribute, const std::vector<std::string>& values,
                   bool scalar);
  void write(const std::string& path, hid_t file_type, hid_t memory_type, const Shape& shape,
             const void* data);

  std::shared_ptr<const H5FileInfo> file_;
  H5Id id_;
  std::string path_;  // without leading slash; "" for the root
};

}  // namespace perch::io
