#include <algorithm>
#include <mutex>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/hdf5.h>

namespace perch::io {

namespace {

constexpr std::size_t max_text_count = 1 << 20;
// An attribute's message in the object header is limited to 64 KiB; 16 bytes go to each string.
constexpr std::size_t texts_per_attribute = 4000;
// The best that deflate can do: what a stored byte may expand to.
constexpr std::uintmax_t max_expansion = 1032;

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

template <class... Args>
[[noreturn]] void damaged(const std::string& file, fmt::format_string<Args...> format,
                          Args&&... args) {
  fail(ErrorCode::bad_data, "{}: {}; use an intact copy or save the model again", file,
       fmt::format(format, std::forward<Args>(args)...));
}

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

std::string trimmed(const char* begin, std::size_t size) {
  std::string text(begin, size);
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  return text;
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

void H5Dataset::check_stored() const {
  const H5Id properties(H5Dget_create_plist(id_), H5Pclose);
  const H5D_layout_t layout = properties.valid() ? H5Pget_layout(properties) : H5D_LAYOUT_ERROR;
  if (layout == H5D_VIRTUAL || layout == H5D_LAYOUT_ERROR ||
      H5Pget_external_count(properties) != 0) {
    damaged(file_->name, "dataset {} is not stored in the file itself", path_);
  }
  const std::uintmax_t expansion = H5Pget_nfilters(properties) > 0 ? max_expansion : 1;
  std::uintmax_t room = file_->bytes * expansion / sizeof(float);
  for (const std::int64_t extent : shape_) {
    const auto count = static_cast<std::uintmax_t>(extent);
    if (count > room) {
      damaged(file_->name, "dataset {} claims the shape {}, more than the file can hold", path_,
              shape_.to_string());
    }
    if (count > 0) room /= count;
  }
}

Tensor H5Dataset::read_floats() const {
  const Turn turn;
  if (!is_float()) damaged(file_->name, "dataset {} does not hold floating-point numbers", path_);
  Tensor values(shape_);
  if (values.size() > 0 &&
      H5Dread(id_, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    damaged(file_->name, "dataset {} cannot be read: the file is truncated or damaged", path_);
  }
  return values;
}

std::int64_t H5Dataset::read_integer() const {
  const Turn turn;
  if (type_ != H5T_INTEGER || shape_.size() != 1) {
    damaged(file_->name, "dataset {} must hold one integer", path_);
  }
  std::int64_t value = 0;
  if (H5Dread(id_, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) < 0) {
    damaged(file_->name, "dataset {} cannot be read: the file is truncated or damaged", path_);
  }
  return value;
}

H5Group H5Group::open(const std::filesystem::path& file) {
  const Turn turn;
  std::error_code error;
  const std::string name = file.string();
  if (!std::filesystem::exists(file, error)) {
    fail(ErrorCode::missing_input, "{}: no such file; check the path", name);
  }
  if (std::filesystem::is_directory(file, error)) {
    fail(ErrorCode::missing_input, "{}: is a folder; name the .h5 file in it", name);
  }
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error) fail(ErrorCode::missing_input, "{}: cannot be read: {}", name, error.message());
  const htri_t is_hdf5 = H5Fis_hdf5(name.c_str());
  if (is_hdf5 < 0) fail(ErrorCode::missing_input, "{}: cannot be opened for reading", name);
  if (is_hdf5 == 0) damaged(name, "is not an HDF5 file, which a Keras .h5 model is");
  H5Group root;
  H5Id id(H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!id.valid()) damaged(name, "cannot be opened as HDF5: the file is truncated or damaged");
  root.id_ = H5Id(H5Gopen2(id, "/", H5P_DEFAULT), H5Gclose);
  if (!root.id_.valid()) damaged(name, "has no readable root group: truncated or damaged");
  root.file_ = std::make_shared<H5FileInfo>(H5FileInfo{std::move(id), name, bytes});
  return root;
}

H5Group H5Group::create(const std::string& name) {
  const Turn turn;
  const H5Id access = property_list(H5P_FILE_ACCESS);
  constexpr std::size_t growth = 1 << 20;
  H5Pset_fapl_core(access, growth, false);
  const H5Id creation = property_list(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation, false);
  H5Group root;
  H5Id id(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
  written(id.valid(), name, "/");
  root.id_ = H5Id(H5Gopen2(id, "/", H5P_DEFAULT), H5Gclose);
  root.file_ = std::make_shared<H5FileInfo>(H5FileInfo{std::move(id), name, 0});
  return root;
}

std::vector<std::byte> H5Group::image() const {
  const Turn turn;
  written(H5Fflush(file_->id, H5F_SCOPE_GLOBAL) >= 0, file(), "/");
  const ssize_t size = H5Fget_file_image(file_->id, nullptr, 0);
  written(size > 0, file(), "/");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  written(H5Fget_file_image(file_->id, bytes.data(), bytes.size()) == size, file(), "/");
  return bytes;
}

std::string H5Group::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "/" + name;
}

bool H5Group::has(const std::string& name) const {
  const Turn turn;
  return H5Lexists(id_, name.c_str(), H5P_DEFAULT) > 0;
}

void H5Group::check_hard_links(const std::string& path) const {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end == 0 ? 0 : end + 1);
    const std::string part = path.substr(0, end);
    if (part.empty() || part.ends_with('/')) damaged(file(), "bad object name '{}'", path);
    if (H5Lexists(id_, part.c_str(), H5P_DEFAULT) <= 0) {
      damaged(file(), "{} is missing", path_of(path));
    }
    H5L_info_t info;
    if (H5Lget_info(id_, part.c_str(), &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD) {
      damaged(file(), "{} is a link to somewhere else, which is not followed", path_of(part));
    }
  }
}

H5Group H5Group::group(const std::string& name) const {
  const Turn turn;
  check_hard_links(name);
  H5Group child;
  child.file_ = file_;
  child.path_ = path_of(name);
  child.id_ = H5Id(H5Gopen2(id_, name.c_str(), H5P_DEFAULT), H5Gclose);
  if (!child.id_.valid()) damaged(file(), "{} is not a readable group", child.path_);
  return child;
}

H5Dataset H5Group::dataset(const std::string& path) const {
  const Turn turn;
  check_hard_links(path);
  H5Dataset result;
  result.file_ = file_;
  result.path_ = path_of(path);
  result.id_ = H5Id(H5Dopen2(id_, path.c_str(), H5P_DEFAULT), H5Dclose);
  if (!result.id_.valid()) damaged(file(), "{} is not a readable dataset", result.path_);
  const H5Id space(H5Dget_space(result.id_), H5Sclose);
  const H5Id type(H5Dget_type(result.id_), H5Tclose);
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space) : -1;
  const bool simple =
      rank == 0 || (space.valid() && H5Sget_simple_extent_type(space) == H5S_SIMPLE);
  if (rank < 0 || rank > Shape::max_rank || !simple || !type.valid()) {
    damaged(file(), "dataset {} has no usable shape or type", result.path_);
  }
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  std::vector<std::int64_t> signed_extents;
  for (const hsize_t extent : extents) {
    if (extent > (hsize_t{1} << 40)) {
      damaged(file(), "dataset {} claims an extent of {}", result.path_, extent);
    }
    signed_extents.push_back(static_cast<std::int64_t>(extent));
  }
  result.shape_ = Shape(signed_extents);
  result.type_ = H5Tget_class(type);
  result.check_stored();
  return result;
}

bool H5Group::has_attribute(const std::string& name) const {
  const Turn turn;
  return H5Aexists(id_, name.c_str()) > 0;
}

std::vector<std::string> H5Group::read_texts(const std::string& attribute) const {
  const std::string where = path_of("@" + attribute);
  const H5Id id(H5Aopen(id_, attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (!id.valid()) damaged(file(), "attribute {} is missing or damaged", where);
  const H5Id type(H5Aget_type(id), H5Tclose);
  const H5Id space(H5Aget_space(id), H5Sclose);
  const hssize_t points = space.valid() ? H5Sget_simple_extent_npoints(space) : -1;
  if (points == 0) return {};
  const auto count = static_cast<std::size_t>(points);
  if (points < 0 || count > max_text_count || H5Tget_class(type) != H5T_STRING) {
    damaged(file(), "attribute {} does not hold text", where);
  }
  std::vector<std::string> values;
  if (H5Tis_variable_str(type) > 0) {
    const H5Id memory = text_type(H5Tget_cset(type));
    std::vector<char*> pointers(count, nullptr);
    if (H5Aread(id, memory, pointers.data()) < 0) {
      damaged(file(), "attribute {} cannot be read: the file is truncated or damaged", where);
    }
    for (const char* pointer : pointers) values.emplace_back(pointer == nullptr ? "" : pointer);
    H5Dvlen_reclaim(memory, space, H5P_DEFAULT, pointers.data());
    return values;
  }
  const std::size_t length = H5Tget_size(type);
  if (length == 0 || length > file_->bytes / count) {
    damaged(file(), "attribute {} is longer than the file", where);
  }
  std::vector<char> buffer(length * count);
  if (H5Aread(id, type, buffer.data()) < 0) {
    damaged(file(), "attribute {} cannot be read: the file is truncated or damaged", where);
  }
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(trimmed(buffer.data() + i * length, length));
  }
  return values;
}

std::string H5Group::text(const std::string& attribute) const {
  const Turn turn;
  const std::vector<std::string> values = read_texts(attribute);
  if (values.size() != 1) damaged(file(), "attribute {} must be one text", path_of(attribute));
  return values.front();
}

std::vector<std::string> H5Group::texts(const std::string& attribute) const {
  const Turn turn;
  if (has_attribute(attribute)) return read_texts(attribute);
  std::vector<std::string> all;
  for (int i = 0; has_attribute(attribute + std::to_string(i)); ++i) {
    for (std::string& value : read_texts(attribute + std::to_string(i))) {
      all.push_back(std::move(value));
    }
  }
  if (all.empty()) damaged(file(), "attribute {} is missing", path_of("@" + attribute));
  return all;
}

H5Group H5Group::add_group(const std::string& path) {
  const Turn turn;
  const H5Id links = property_list(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const H5Id creation = property_list(H5P_GROUP_CREATE);
  H5Pset_obj_track_times(creation, false);
  H5Group child;
  child.file_ = file_;
  child.path_ = path_of(path);
  child.id_ = H5Id(H5Gcreate2(id_, path.c_str(), links, creation, H5P_DEFAULT), H5Gclose);
  written(child.id_.valid(), file(), child.path_);
  return child;
}

void H5Group::write_texts(const std::string& attribute, const std::vector<std::string>& values,
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

void H5Group::add_text(const std::string& attribute, const std::string& value) {
  const Turn turn;
  write_texts(attribute, {value}, true);
}

void H5Group::add_texts(const std::string& attribute, const std::vector<std::string>& values) {
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

void H5Group::write(const std::string& path, hid_t file_type, hid_t memory_type, const Shape& shape,
                    const void* data) {
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

void H5Group::add_floats(const std::string& path, const Tensor& values) {
  write(path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.shape(), values.data());
}

void H5Group::add_int32(const std::string& path, std::int32_t value) {
  write(path, H5T_STD_I32LE, H5T_NATIVE_INT32, {}, &value);
}

void H5Group::add_int64(const std::string& path, std::int64_t value) {
  write(path, H5T_STD_I64LE, H5T_NATIVE_INT64, {}, &value);
}

}  // namespace perch::io
