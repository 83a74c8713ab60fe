#include <utility>

#include <perch/core/check.h>
#include <perch/io/hdf5_attribute.h>
#include <perch/io/hdf5_reader.h>

namespace perch::io {

namespace {

constexpr std::uint64_t largest_extent = std::uint64_t{1} << 40;
// An opened dataset or group, with its path.
constexpr std::uint64_t kept_object = 256;

// A value other than zero that stands for those never written, if the dataset names one.
bool has_fill_value(const H5File& file, H5Bytes message, std::string_view where) {
  H5Cursor cursor(file, message, where);
  const std::uint64_t version = cursor.number(1);
  if (version == 3) {
    constexpr std::uint64_t defined = 0x20;
    if ((cursor.number(1) & defined) == 0) return false;
  } else {
    cursor.skip(2);  // when to allocate, and when to write it
    if (cursor.number(1) == 0) return false;
  }
  for (const std::byte byte : cursor.take(cursor.number(4))) {
    if (byte != std::byte{0}) return true;
  }
  return false;
}

}  // namespace

H5Dataset::H5Dataset(std::shared_ptr<H5File> file, std::uint64_t address, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {
  file_->charge(kept_object + path_.size(), path_);
  const H5Messages messages = read_messages(*file_, address, path_);
  read_shape(messages);
  find_values(messages);
}

void H5Dataset::read_shape(const H5Messages& messages) {
  const H5Message* space = find_message(*file_, messages, H5MessageKind::dataspace, path_);
  const H5Message* type = find_message(*file_, messages, H5MessageKind::datatype, path_);
  if (space == nullptr || type == nullptr) {
    file_->damaged(fmt::format("{} is not a readable dataset", path_));
  }
  H5Cursor space_cursor(*file_, space->body, path_);
  H5Cursor type_cursor(*file_, type->body, path_);
  const H5Space declared = read_space(space_cursor);
  type_ = read_type(type_cursor);
  if (declared.null || declared.extents.size() > Shape::max_rank) {
    file_->damaged(fmt::format("dataset {} has no usable shape or type", path_));
  }
  std::vector<std::int64_t> extents;
  for (const std::uint64_t extent : declared.extents) {
    if (extent > largest_extent) {
      file_->damaged(fmt::format("dataset {} claims an extent of {}", path_, extent));
    }
    extents.push_back(static_cast<std::int64_t>(extent));
  }
  shape_ = Shape(extents);
  if (find_message(*file_, messages, H5MessageKind::external_files, path_) != nullptr) {
    file_->damaged(fmt::format("dataset {} is not stored in the file itself", path_));
  }
  count_ = declared.count();
}

void H5Dataset::find_values(const H5Messages& messages) {
  const H5Message* layout = find_message(*file_, messages, H5MessageKind::layout, path_);
  if (layout == nullptr) file_->damaged(fmt::format("{} is not a readable dataset", path_));
  H5Cursor cursor(*file_, layout->body, path_);
  const std::uint64_t version = cursor.number(1);
  if (version != 3 && version != 4) {
    file_->unsupported(path_, fmt::format("a layout of version {}", version));
  }
  enum Storage : std::uint64_t { compact, contiguous, chunked, elsewhere };
  const std::uint64_t storage = cursor.number(1);
  if (storage == compact) {
    const std::uint64_t size = cursor.number(2);
    values_ = cursor.take(size);
    written_ = true;
  } else if (storage == contiguous) {
    const std::uint64_t address = cursor.address();
    written_ = address != h5_nowhere;
    if (written_) values_ = file_->view(address, cursor.number(8), path_);
  } else if (storage == chunked) {
    file_->unsupported(path_, "values in chunks, as compression needs them");
  } else {
    file_->damaged(fmt::format("dataset {} is not stored in the file itself", path_));
  }
  if (!count_ || *count_ > file_->size() / type_.size) {
    file_->damaged(fmt::format("dataset {} claims the shape {}, more than the file can hold", path_,
                               shape_.to_string()));
  }
  const H5Message* fill = find_message(*file_, messages, H5MessageKind::fill_value, path_);
  if (!written_ && fill != nullptr && has_fill_value(*file_, fill->body, path_)) {
    file_->unsupported(path_, "a fill value and no values");
  }
  if (written_ && values_.size() < *count_ * type_.size) {
    file_->damaged(fmt::format("dataset {} claims the shape {} but stores {} bytes", path_,
                               shape_.to_string(), values_.size()));
  }
}

Tensor H5Dataset::read_floats() const {
  if (!is_float()) {
    file_->damaged(
        fmt::format("dataset {} does not hold floating-point numbers of 16, 32 or 64 bits", path_));
  }
  file_->charge_values(*count_ * sizeof(float), path_);
  Tensor values(shape_);
  if (!written_) values.fill(0);
  if (written_) to_floats(type_, values_, {values.data(), *count_});
  return values;
}

std::int64_t H5Dataset::read_integer() const {
  if (type_.kind != H5Type::Kind::integer || count_ != 1u) {
    file_->damaged(fmt::format("dataset {} must hold one integer", path_));
  }
  if (!written_) return 0;
  const std::optional<std::int64_t> value = to_integer(type_, values_);
  if (!value) file_->damaged(fmt::format("dataset {} holds too large an integer", path_));
  return *value;
}

H5Group::H5Group(std::shared_ptr<H5File> file, std::uint64_t address, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {
  file_->charge(kept_object + path_.size(), where());
  messages_ = read_messages(*file_, address, where());
  links_ = read_links(*file_, messages_, where());
}

H5Group::H5Group(std::shared_ptr<H5File> file) : H5Group(file, root_address(*file), {}) {}

H5Group H5Group::open(const std::filesystem::path& file) {
  return H5Group(H5File::read(file));
}

H5Group H5Group::open(std::string name, std::vector<std::byte> bytes) {
  return H5Group(std::make_shared<H5File>(std::move(name), std::move(bytes)));
}

std::string H5Group::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "/" + name;
}

bool H5Group::has(const std::string& name) const {
  return find_link(links_, name) != nullptr;
}

std::uint64_t H5Group::address_of(const std::string& name) const {
  const H5Link* link = find_link(links_, name);
  if (name.empty()) file_->damaged(fmt::format("{} has a member without a name", where()));
  if (link == nullptr) file_->damaged(fmt::format("{} is missing", path_of(name)));
  if (!link->hard) {
    file_->damaged(
        fmt::format("{} is a link to somewhere else, which is not followed", path_of(name)));
  }
  return link->address;
}

H5Group H5Group::group(const std::string& path) const {
  H5Group at;
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = path.find('/', begin);
    const std::string name = path.substr(begin, end - begin);
    const H5Group& parent = begin == 0 ? *this : at;
    at = H5Group(file_, parent.address_of(name), parent.path_of(name));
  }
  return at;
}

H5Dataset H5Group::dataset(const std::string& path) const {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    return group(path.substr(0, slash)).dataset(path.substr(slash + 1));
  }
  return H5Dataset(file_, address_of(path), path_of(path));
}

bool H5Group::has_attribute(const std::string& name) const {
  return find_attribute(*file_, messages_, name, where()) != nullptr;
}

std::vector<std::string> H5Group::read_texts(const std::string& attribute) const {
  const H5Message* message = find_attribute(*file_, messages_, attribute, where());
  const std::string at = path_of("@" + attribute);
  if (message == nullptr) file_->damaged(fmt::format("attribute {} is missing", at));
  return io::read_texts(*file_, *message, at);
}

std::string H5Group::text(const std::string& attribute) const {
  std::vector<std::string> values = read_texts(attribute);
  if (values.size() != 1) {
    file_->damaged(fmt::format("attribute {} must be one text", path_of("@" + attribute)));
  }
  return std::move(values.front());
}

std::vector<std::string> H5Group::texts(const std::string& attribute) const {
  if (has_attribute(attribute)) return read_texts(attribute);
  std::vector<std::string> all;
  for (int i = 0; has_attribute(attribute + std::to_string(i)); ++i) {
    for (std::string& value : read_texts(attribute + std::to_string(i))) {
      all.push_back(std::move(value));
    }
  }
  if (all.empty()) {
    file_->damaged(fmt::format("attribute {} is missing", path_of("@" + attribute)));
  }
  return all;
}

}  // namespace perch::io
