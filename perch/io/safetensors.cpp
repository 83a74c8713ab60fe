#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <perch/core/check.h>
#include <perch/datasets/file.h>
#include <perch/io/safetensors.h>

namespace perch::io {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are stored as they are");

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t header_limit = 100'000'000;
constexpr const char* metadata_key = "__metadata__";

struct Entry {
  std::string name, type;
  std::vector<std::uint64_t> shape, offsets;
};

/// Takes the header apart while it is parsed: no document in memory, and no key twice.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string file) : file_(std::move(file)) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (depth_ == 0) return enter();
    if (depth_ != 1) wrong("an object", name_);
    in_metadata_ = name_ == metadata_key;
    fields_.clear();
    if (!in_metadata_) entries.push_back({.name = name_, .type = {}, .shape = {}, .offsets = {}});
    return enter();
  }
  bool end_object() override {
    --depth_;
    if (depth_ != 1) return true;
    if (!in_metadata_ && fields_.size() != 3) {
      refuse("{} lacks one of dtype, shape and data_offsets", name_);
    }
    in_metadata_ = false;
    return true;
  }
  bool key(std::string& key) override {
    auto& known = depth_ == 1 ? names_ : fields_;
    known.push_back(key);
    if (depth_ == 1) {
      name_ = key;
    } else if (!in_metadata_) {
      // Few: looked through one by one. All others are sorted once, at the end.
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        refuse("{} has an unknown field {}", name_, key);
      }
      if (std::ranges::count(fields_, key) > 1) refuse("{} has {} twice", name_, key);
    }
    field_ = key;
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && in_metadata_) {
      if (!metadata.emplace(field_, std::move(text)).second) {
        refuse("{} has {} twice", metadata_key, field_);
      }
      return true;
    }
    if (depth_ != 2 || field_ != "dtype") wrong("a text", name_);
    entries.back().type = std::move(text);
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || field_ == "dtype") wrong("a list", name_);
    return enter();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool number_unsigned(std::uint64_t value) override {
    if (depth_ != 3) wrong("a number", name_);
    auto& list = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    const std::size_t most = field_ == "shape" ? Shape::max_rank : 2;
    if (list.size() == most) refuse("{}: {} has more than {} numbers", name_, field_, most);
    list.push_back(value);
    return true;
  }
  bool null() override { wrong("null", name_); }
  bool boolean(bool) override { wrong("a truth value", name_); }
  bool number_integer(std::int64_t) override { wrong("a negative number", name_); }
  bool number_float(double, const std::string&) override { wrong("a fraction", name_); }
  bool binary(nlohmann::json::binary_t&) override { wrong("binary data", name_); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    refuse("the header is no JSON at byte {}", position);
  }

  void check_names() {
    std::ranges::sort(names_);
    const auto twice = std::ranges::adjacent_find(names_);
    if (twice != names_.end()) refuse("{} is there twice", *twice);
  }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::bad_data, "{}: no proper safetensors file: {}", file_,
         fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  bool enter() {
    ++depth_;
    return true;
  }
  [[noreturn]] void wrong(const char* what, const std::string& where) const {
    refuse("{} in {} has no place there", what, where.empty() ? "the header" : where);
  }

  std::string file_;
  int depth_ = 0;
  bool in_metadata_ = false;
  std::string name_, field_;
  std::vector<std::string> names_, fields_;
};

/// Bytes of a tensor; nothing where the shape is absurd.
std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max() / sizeof(float);
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : shape) {
    if (extent > most || (extent != 0 && elements > most / extent)) return std::nullopt;
    elements *= extent;
  }
  return elements * sizeof(float);
}

/// Refuses overlaps, holes and whatever does not fill `size` bytes exactly.
void check_layout(std::vector<Entry>& entries, std::uint64_t size, const HeaderReader& header) {
  for (const Entry& entry : entries) {
    if (entry.type != "F32") {
      header.refuse("{} is of type {}; perch reads F32", entry.name,
                    entry.type.empty() ? "nothing" : entry.type);
    }
    if (entry.offsets.size() != 2) header.refuse("{} has no two data_offsets", entry.name);
    const std::uint64_t begin = entry.offsets[0], end = entry.offsets[1];
    if (begin > end || end > size) {
      header.refuse("{} lies at {}..{} of {} bytes", entry.name, begin, end, size);
    }
    if (bytes_of(entry.shape) != end - begin) {
      header.refuse("{} has {} bytes, which its shape does not make", entry.name, end - begin);
    }
  }
  std::ranges::sort(entries, {}, &Entry::offsets);
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.offsets[0] != at) {
      header.refuse("{} begins at byte {}, the tensor before it ends at {}", entry.name,
                    entry.offsets[0], at);
    }
    at = entry.offsets[1];
  }
  if (at != size) header.refuse("{} bytes are behind the last tensor", size - at);
}

Shape shape_of(const Entry& entry) {
  const std::vector<std::int64_t> extents(entry.shape.begin(), entry.shape.end());
  return Shape(std::span<const std::int64_t>(extents));
}

/// A file of `size` bytes from which read(offset, out, count) takes some. Nothing is read, and no
/// memory taken, before what goes before it is known to be right.
template <class Read>
SafeTensors parse(const Read& read, std::uint64_t size, const std::string& file,
                  const CheckMetadata& check) {
  HeaderReader header(file);
  if (size < length_bytes) header.refuse("it has {} bytes", size);
  std::uint64_t length = 0;
  read(0, &length, sizeof length);
  const std::uint64_t rest = size - length_bytes;
  if (length > header_limit || length > rest) {
    header.refuse("a header of {} bytes in a file of {}", length, size);
  }
  char first = '\0';
  if (length > 0) read(length_bytes, &first, 1);
  if (first != '{') header.refuse("its header does not begin with '{{'");
  std::string text(static_cast<std::size_t>(length), '\0');
  read(length_bytes, text.data(), text.size());
  nlohmann::json::sax_parse(text, &header);
  header.check_names();
  if (check) check(header.metadata);
  check_layout(header.entries, rest - length, header);

  SafeTensors content;
  content.metadata = std::move(header.metadata);
  for (const Entry& entry : header.entries) {
    Tensor tensor(shape_of(entry));
    const std::uint64_t bytes = entry.offsets[1] - entry.offsets[0];
    if (bytes > 0) {
      read(length_bytes + length + entry.offsets[0], tensor.data(),
           static_cast<std::size_t>(bytes));
    }
    content.tensors.emplace(entry.name, std::move(tensor));
  }
  return content;
}

}  // namespace

std::vector<std::byte> safetensors_bytes(const SafeTensors& content) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!content.metadata.empty()) header[metadata_key] = content.metadata;
  std::uint64_t at = 0;
  for (const auto& [name, tensor] : content.tensors) {
    PERCH_CHECK(name != metadata_key, "safetensors: a tensor cannot be called {}", name);
    const std::uint64_t end = at + static_cast<std::uint64_t>(tensor.size()) * sizeof(float);
    header[name] = {
        {"dtype", "F32"}, {"shape", tensor.shape().extents()}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + length_bytes - 1) / length_bytes * length_bytes, ' ');
  PERCH_CHECK(text.size() <= header_limit, "safetensors: a header of {} bytes is more than {}",
              text.size(), header_limit);

  const std::uint64_t length = text.size();
  std::vector<std::byte> bytes(length_bytes + text.size() + at);
  std::byte* out = bytes.data();
  const auto put = [&](const void* data, std::size_t size) {
    if (size > 0) std::memcpy(out, data, size);
    out += size;
  };
  put(&length, sizeof length);
  put(text.data(), text.size());
  for (const auto& [name, tensor] : content.tensors) {
    put(tensor.data(), static_cast<std::size_t>(tensor.size()) * sizeof(float));
  }
  return bytes;
}

SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& file,
                              const CheckMetadata& check) {
  const auto read = [&](std::uint64_t offset, void* out, std::size_t size) {
    std::memcpy(out, bytes.data() + offset, size);
  };
  return parse(read, bytes.size(), file, check);
}

SafeTensors read_safetensors(const std::filesystem::path& file, const CheckMetadata& check) {
  const datasets::File opened = datasets::File::open(file);
  const auto read = [&](std::uint64_t offset, void* out, std::size_t size) {
    opened.read_at(static_cast<std::int64_t>(offset), out, static_cast<std::int64_t>(size));
  };
  return parse(read, static_cast<std::uint64_t>(opened.size()), file.string(), check);
}

}  // namespace perch::io
