#include <algorithm>
#include <mutex>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/hdf5_writer.h>

namespace perch::io {

namespace {

// An attribute's message in the object header is limited to 64 KiB; 16 bytes go to each string.
constexpr std::size_t texts_per_attribute = 4000;

// HDF5 as Debian builds it keeps global state; calls take turns, and print nothing.
class Turn {
 public:
  Turn() : lock_(mutex()) {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Turn() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  static std::recursive_mutex& mutex() {
    static std::recursive_mutex instance;
    return instance;
  }
  std::lock_guard<std::recursive_mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

// Writing happens in memory: what fails there is memory or a limit of the format.
void written(bool good, const std::string& file, const std::string& path) {
  if (!good) fail(ErrorCode::io, "{}: HDF5 could not write {}", file, path);
}

H5Id text_type(H5T_cset_t character_set) {
  H5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, character_set);
  return type;
}

H5Id property_list(hid_t kind) {
  return H5Id(H5Pcreate(kind), H5Pclose);
}

}  // namespace

H5Id::H5Id(H5Id&& other) noexcept
    : id_(std::exchange(other.id_, -1)), close_(std::exchange(other.close_, nullptr)) {}

H5Id& H5Id::operator=(H5Id&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

void H5Id::reset() {
  if (valid() && close_ != nullptr) {
    const Turn turn;
    close_(id_);
  }
  id_ = -1;
}

H5Writer H5Writer::create(const std::string& name) {
  const Turn turn;
  const H5Id access = property_list(H5P_FILE_ACCESS);
  constexpr std::size_t growth = 1 << 20;
  H5Pset_fapl_core(access, growth, false);
  const H5Id creation = property_list(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation, false);
  H5Writer root;
  H5Id id(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
  written(id.valid(), name, "/");
  root.id_ = H5Id(H5Gopen2(id, "/", H5P_DEFAULT), H5Gclose);
  root.file_ = std::make_shared<H5FileInfo>(H5FileInfo{std::move(id), name});
  return root;
}

std::vector<std::byte> H5Writer::image() const {
  const Turn turn;
  written(H5Fflush(file_->id, H5F_SCOPE_GLOBAL) >= 0, file(), "/");
  const ssize_t size = H5Fget_file_image(file_->id, nullptr, 0);
  written(size > 0, file(), "/");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  written(H5Fget_file_image(file_->id, bytes.data(), bytes.size()) == size, file(), "/");
  return bytes;
}

std::string H5Writer::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "/" + name;
}

H5Writer H5Writer::add_group(const std::string& path) {
  const Turn turn;
  const H5Id links = property_list(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const H5Id creation = property_list(H5P_GROUP_CREATE);
  H5Pset_obj_track_times(creation, false);
  H5Writer child;
  child.file_ = file_;
  child.path_ = path_of(path);
  child.id_ = H5Id(H5Gcreate2(id_, path.c_str(), links, creation, H5P_DEFAULT), H5Gclose);
  written(child.id_.valid(), file(), child.path_);
  return child;
}

void H5Writer::write_texts(const std::string& attribute, const std::vector<std::string>& values,
                           bool scalar) {
  const auto count = static_cast<hsize_t>(values.size());
  const H5Id space(scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr), H5Sclose);
  const H5Id type =
      values.empty() ? H5Id(H5Tcopy(H5T_IEEE_F64LE), H5Tclose) : text_type(H5T_CSET_UTF8);
  const H5Id id(H5Acreate2(id_, attribute.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                H5Aclose);
  written(id.valid(), file(), path_of("@" + attribute));
  if (values.empty()) return;
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  written(H5Awrite(id, type, pointers.data()) >= 0, file(), path_of("@" + attribute));
}

void H5Writer::add_text(const std::string& attribute, const std::string& value) {
  const Turn turn;
  write_texts(attribute, {value}, true);
}

void H5Writer::add_texts(const std::string& attribute, const std::vector<std::string>& values) {
  const Turn turn;
  if (values.size() <= texts_per_attribute) return write_texts(attribute, values, false);
  for (std::size_t begin = 0, i = 0; begin < values.size(); begin += texts_per_attribute, ++i) {
    const std::size_t end = std::min(begin + texts_per_attribute, values.size());
    write_texts(attribute + std::to_string(i),
                {values.begin() + static_cast<std::ptrdiff_t>(begin),
                 values.begin() + static_cast<std::ptrdiff_t>(end)},
                false);
  }
}

void H5Writer::write(const std::string& path, hid_t file_type, hid_t memory_type,
                     const Shape& shape, const void* data) {
  const Turn turn;
  const H5Id links = property_list(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const H5Id creation = property_list(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation, false);
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  const H5Id space(shape.rank() == 0 ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(shape.rank(), extents.data(), nullptr),
                   H5Sclose);
  const H5Id id(H5Dcreate2(id_, path.c_str(), file_type, space, links, creation, H5P_DEFAULT),
                H5Dclose);
  written(id.valid(), file(), path_of(path));
  written(shape.size() == 0 || H5Dwrite(id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0,
          file(), path_of(path));
}

void H5Writer::add_floats(const std::string& path, const Tensor& values) {
  write(path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.shape(), values.data());
}

void H5Writer::add_int32(const std::string& path, std::int32_t value) {
  write(path, H5T_STD_I32LE, H5T_NATIVE_INT32, {}, &value);
}

void H5Writer::add_int64(const std::string& path, std::int64_t value) {
  write(path, H5T_STD_I64LE, H5T_NATIVE_INT64, {}, &value);
}

}  // namespace perch::io
