#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <utility>

#include <catch2/catch.hpp>
#include <hdf5.h>
#include <tests/support/golden.h>
#include <tests/support/places.h>

#include <perch/core/check.h>

namespace perch::golden {
namespace {

// Owns one HDF5 identifier; H5Idec_ref closes whatever kind it is.
class Id {
 public:
  Id(hid_t id, const std::string& what) : id_(id) {
    if (id < 0) fail(ErrorCode::bad_data, "golden: {} cannot be read", what);
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() { H5Idec_ref(id_); }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
};

Shape shape_of_space(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  return Shape(std::vector<std::int64_t>(extents.begin(), extents.end()));
}

// Fixed-length strings are padded with zeros or blanks; variable-length ones belong to the library.
using ReadInto = std::function<herr_t(hid_t memory_type, void* buffer)>;
std::vector<std::string> read_strings(hid_t type, hid_t space, const ReadInto& read,
                                      const std::string& what) {
  std::vector<std::string> result(static_cast<std::size_t>(shape_of_space(space).size()));
  if (H5Tget_class(type) != H5T_STRING) {
    // Keras writes an empty list of names as an empty array of numbers.
    if (result.empty()) return result;
    fail(ErrorCode::bad_data, "golden: {} is not text", what);
  }
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> raw(result.size());
    if (read(type, raw.data()) < 0) fail(ErrorCode::bad_data, "golden: {} cannot be read", what);
    std::copy(raw.begin(), raw.end(), result.begin());
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
    return result;
  }
  const std::size_t width = H5Tget_size(type);
  std::vector<char> raw(result.size() * width);
  if (read(type, raw.data()) < 0) fail(ErrorCode::bad_data, "golden: {} cannot be read", what);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const char* const begin = raw.data() + i * width;
    result[i].assign(begin, strnlen(begin, width));
    result[i].erase(result[i].find_last_not_of(' ') + 1);
  }
  return result;
}

template <class T>
hid_t memory_type();
template <>
hid_t memory_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
hid_t memory_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}

template <class T>
Array<T> read_dataset(hid_t group, const std::string& name, const std::string& what) {
  const Id dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), what);
  const Id space(H5Dget_space(dataset), what);
  Array<T> result{shape_of_space(space), {}};
  result.values.resize(static_cast<std::size_t>(result.shape.size()));
  if (H5Dread(dataset, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, result.values.data()) < 0) {
    fail(ErrorCode::bad_data, "golden: {} does not hold numbers of the expected kind", what);
  }
  return result;
}

template <class T>
std::vector<T> read_attribute(hid_t group, const std::string& name, const std::string& of,
                              const std::string& what) {
  const Id attribute(H5Aopen_by_name(group, of.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                     what);
  const Id space(H5Aget_space(attribute), what);
  std::vector<T> result(static_cast<std::size_t>(shape_of_space(space).size()));
  if (H5Aread(attribute, memory_type<T>(), result.data()) < 0) {
    fail(ErrorCode::bad_data, "golden: {} does not hold numbers of the expected kind", what);
  }
  return result;
}

std::vector<std::string> children(hid_t group, H5O_type_t kind) {
  struct Search {
    H5O_type_t kind;
    std::vector<std::string> names;
  } search{kind, {}};
  H5Literate(
      group, H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t parent, const char* name, const H5L_info_t*, void* data) -> herr_t {
        auto& found = *static_cast<Search*>(data);
        H5O_info_t info;
        if (H5Oget_info_by_name(parent, name, &info, H5P_DEFAULT) >= 0 && info.type == found.kind) {
          found.names.emplace_back(name);
        }
        return 0;
      },
      &search);
  return std::move(search.names);
}

}  // namespace

std::filesystem::path folder() {
  const char* const chosen = std::getenv("PERCH_GOLDEN_DIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : test::source_folder() + "/tests/golden";
}

void report(std::int64_t cases) {
  std::cout << "golden: " << folder().string() << ": " << cases << " cases" << std::endl;
  REQUIRE(cases > 0);
}

struct Group::Handle {
  Id id;
};

Group::Group(std::shared_ptr<Handle> handle, std::string path)
    : handle_(std::move(handle)), path_(std::move(path)) {}

Group Group::open(const std::filesystem::path& file) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const hid_t opened = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (opened < 0) fail(ErrorCode::missing_input, "golden: {} cannot be opened", file.string());
  const Id id(opened, file.string());
  const std::string path = file.string() + ":";
  return Group(std::shared_ptr<Handle>(new Handle{{H5Gopen2(id, "/", H5P_DEFAULT), path}}), path);
}

std::vector<std::string> Group::groups() const {
  return children(handle_->id, H5O_TYPE_GROUP);
}
std::vector<std::string> Group::datasets() const {
  return children(handle_->id, H5O_TYPE_DATASET);
}

std::vector<std::string> Group::all_datasets() const {
  std::vector<std::string> result = datasets();
  for (const std::string& name : groups()) {
    for (const std::string& below : group(name).all_datasets()) {
      result.push_back(name + "/" + below);
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

bool Group::contains(const std::string& name) const {
  for (std::size_t end = name.find('/'); end != std::string::npos; end = name.find('/', end + 1)) {
    if (H5Lexists(handle_->id, name.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return H5Lexists(handle_->id, name.c_str(), H5P_DEFAULT) > 0;
}

Group Group::group(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  return Group(
      std::shared_ptr<Handle>(new Handle{{H5Gopen2(handle_->id, name.c_str(), H5P_DEFAULT), path}}),
      path);
}

Shape Group::shape(const std::string& name) const {
  const std::string what = path_ + "/" + name;
  const Id dataset(H5Dopen2(handle_->id, name.c_str(), H5P_DEFAULT), what);
  return shape_of_space(Id(H5Dget_space(dataset), what));
}

Array<float> Group::floats(const std::string& name) const {
  return read_dataset<float>(handle_->id, name, path_ + "/" + name);
}
Array<double> Group::doubles(const std::string& name) const {
  return read_dataset<double>(handle_->id, name, path_ + "/" + name);
}
Array<std::int64_t> Group::ints(const std::string& name) const {
  return read_dataset<std::int64_t>(handle_->id, name, path_ + "/" + name);
}

std::vector<std::string> Group::strings(const std::string& name) const {
  const std::string what = path_ + "/" + name;
  const Id dataset(H5Dopen2(handle_->id, name.c_str(), H5P_DEFAULT), what);
  const Id space(H5Dget_space(dataset), what), type(H5Dget_type(dataset), what);
  return read_strings(
      type, space,
      [&](hid_t memory, void* buffer) {
        return H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer);
      },
      what);
}

Tensor Group::tensor(const std::string& name) const {
  const Array<float> array = floats(name);
  return Tensor(array.shape, array.values);
}

Tensor Group::tensor(const std::string& name, std::int64_t row) const {
  const Array<float> array = floats(name);
  PERCH_CHECK(row >= 0 && row < array.shape[0], "golden: {}/{} has {} rows, not a row {}", path_,
              name, array.shape[0], row);
  return Tensor(array.shape.unbatched(),
                std::span(array.values)
                    .subspan(static_cast<std::size_t>(row * array.row_size()),
                             static_cast<std::size_t>(array.row_size())));
}

bool Group::has_attribute(const std::string& name, const std::string& of) const {
  return H5Aexists_by_name(handle_->id, of.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<double> Group::numbers(const std::string& name, const std::string& of) const {
  return read_attribute<double>(handle_->id, name, of, path_ + "/" + of + "@" + name);
}

double Group::number(const std::string& name, const std::string& of) const {
  const std::vector<double> values = numbers(name, of);
  PERCH_CHECK(values.size() == 1, "golden: {}/{}@{} holds {} numbers, not one", path_, of, name,
              values.size());
  return values.front();
}

std::int64_t Group::integer(const std::string& name, const std::string& of) const {
  const auto values =
      read_attribute<std::int64_t>(handle_->id, name, of, path_ + "/" + of + "@" + name);
  PERCH_CHECK(values.size() == 1, "golden: {}/{}@{} holds {} numbers, not one", path_, of, name,
              values.size());
  return values.front();
}

bool Group::flag(const std::string& name, const std::string& of) const {
  return integer(name, of) != 0;
}

std::vector<std::string> Group::texts(const std::string& name, const std::string& of) const {
  const std::string what = path_ + "/" + of + "@" + name;
  const Id attribute(
      H5Aopen_by_name(handle_->id, of.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), what);
  const Id space(H5Aget_space(attribute), what), type(H5Aget_type(attribute), what);
  return read_strings(
      type, space, [&](hid_t memory, void* buffer) { return H5Aread(attribute, memory, buffer); },
      what);
}

std::string Group::text(const std::string& name, const std::string& of) const {
  const std::vector<std::string> values = texts(name, of);
  PERCH_CHECK(values.size() == 1, "golden: {}/{}@{} holds {} texts, not one", path_, of, name,
              values.size());
  return values.front();
}

}  // namespace perch::golden
