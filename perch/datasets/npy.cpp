#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <perch/core/check.h>
#include <perch/datasets/file.h>
#include <perch/datasets/npy.h>

namespace perch::datasets {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void bad(const fs::path& path, std::string_view what) {
  fail(ErrorCode::bad_data, "{}: {}", path.string(), what);
}

struct Header {
  char byte_order = 0;  // '<', '>' or '|'
  char kind = 0;        // NumPy's letter: u, i, f, b, ...
  std::int64_t item_size = 0;
  std::vector<std::int64_t> shape;
  std::int64_t data_offset = 0;

  std::string dtype() const {
    const std::string bits = std::to_string(8 * item_size);
    const std::string order = byte_order == '>' ? "big-endian " : "";
    switch (kind) {
      case 'u':
        return order + "uint" + bits;
      case 'i':
        return order + "int" + bits;
      case 'f':
        return order + "float" + bits;
      case 'b':
        return "bool";
      default:
        return fmt::format("{}{}{}", byte_order, kind, item_size);
    }
  }
  std::string shape_text() const {
    std::string text = "[";
    for (const std::int64_t extent : shape) {
      text += fmt::format("{}{}", text.size() > 1 ? ", " : "", extent);
    }
    return text + "]";
  }
};

/// Reads the header's text: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } with its
/// three keys in any order.
class HeaderParser {
 public:
  HeaderParser(const fs::path& path, std::string_view text) : path_(path), rest_(text) {}

  Header parse() {
    Header header;
    expect('{');
    bool has_dtype = false, has_order = false, has_shape = false;
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !std::exchange(has_dtype, true)) {
        dtype(header);
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        order();
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        shape(header);
      } else {
        malformed();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty() || !has_dtype || !has_order || !has_shape) malformed();
    return header;
  }

 private:
  [[noreturn]] void malformed() const { bad(path_, "its .npy header is malformed"); }

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed();
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::string_view quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = rest_.find(quote);
    if (end == std::string_view::npos) malformed();
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

  void dtype(Header& header) {
    skip_space();
    if (rest_.starts_with('[')) bad(path_, "has a structured dtype; save one plain array per file");
    const std::string_view text = quoted();
    if (text.size() < 3) malformed();
    header.byte_order = text[0];
    header.kind = text[1];
    const auto [end, error] =
        std::from_chars(text.data() + 2, text.data() + text.size(), header.item_size);
    if (error != std::errc() || end != text.data() + text.size() || header.item_size < 0 ||
        header.item_size > 1024) {
      fail(ErrorCode::bad_data, "{}: dtype '{}' is not of numbers", path_.string(), text);
    }
  }

  void order() {
    if (accept_word("True")) {
      bad(path_, "is stored in Fortran order; save numpy.ascontiguousarray(array)");
    }
    if (!accept_word("False")) malformed();
  }

  void shape(Header& header) {
    expect('(');
    std::int64_t total = 1;
    while (!accept(')')) {
      skip_space();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error != std::errc() || extent < 0 || header.shape.size() == Shape::max_rank) malformed();
      // Sizes in bytes stay within 64 bits.
      constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 2048;
      if (extent > 0 && total > most / extent) bad(path_, "its shape is too large");
      total *= extent;
      header.shape.push_back(extent);
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  const fs::path& path_;
  std::string_view rest_;
};

/// Reads the header and checks that the file holds exactly the array that it announces.
Header read_header(const fs::path& path, const File& file) {
  constexpr std::string_view magic = "\x93NUMPY";
  constexpr std::int64_t version_end = 8, longest_header = 1 << 20;
  std::array<unsigned char, 12> start{};
  const std::int64_t file_size = file.size();
  if (file_size < static_cast<std::int64_t>(start.size())) bad(path, "is not a .npy file");
  file.read_at(0, start.data(), start.size());
  if (std::memcmp(start.data(), magic.data(), magic.size()) != 0) bad(path, "is not a .npy file");
  const int version = start[6];
  if (version < 1 || version > 3) {
    fail(ErrorCode::bad_data, "{}: .npy version {}.{} is unknown; 1.0 to 3.0 are read",
         path.string(), version, start[7]);
  }
  const std::int64_t length_bytes = version == 1 ? 2 : 4;
  std::int64_t length = 0;
  for (std::int64_t i = 0; i < length_bytes; ++i) {
    length |= std::int64_t{start[static_cast<std::size_t>(version_end + i)]} << (8 * i);
  }
  const std::int64_t text_begin = version_end + length_bytes;
  if (length > longest_header || text_begin + length > file_size) {
    bad(path, "its .npy header is truncated or malformed");
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read_at(text_begin, text.data(), length);
  Header header = HeaderParser(path, text).parse();
  header.data_offset = text_begin + length;

  std::int64_t expected = header.item_size;
  for (const std::int64_t extent : header.shape) expected *= extent;
  if (file_size - header.data_offset != expected) {
    fail(ErrorCode::bad_data, "{}: holds {} bytes of data, where {} of {} take {}; the file is {}",
         path.string(), file_size - header.data_offset, header.shape_text(), header.dtype(),
         expected, file_size - header.data_offset < expected ? "truncated" : "damaged");
  }
  return header;
}

std::vector<std::int32_t> read_labels(const fs::path& path) {
  const File file = File::open(path);
  const Header header = read_header(path, file);
  const bool integer = header.kind == 'u' || header.kind == 'i';
  if (!integer || header.item_size < 1 || header.item_size > 8) {
    fail(ErrorCode::bad_data, "{}: labels of dtype {}; save integers, as with .astype(\"int32\")",
         path.string(), header.dtype());
  }
  const auto& shape = header.shape;
  if (shape.empty() || shape.size() > 2 || (shape.size() == 2 && shape[1] != 1)) {
    fail(ErrorCode::bad_data, "{}: labels of shape {}; give [N] or [N, 1]", path.string(),
         header.shape_text());
  }
  const auto item = static_cast<std::size_t>(header.item_size);
  const auto count = static_cast<std::size_t>(shape[0]);
  std::vector<std::uint8_t> bytes(count * item);
  file.read_at(header.data_offset, bytes.data(), static_cast<std::int64_t>(bytes.size()));
  std::vector<std::int32_t> labels(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t value = 0;
    for (std::size_t b = 0; b < item; ++b) {
      const std::size_t place = header.byte_order == '>' ? item - 1 - b : b;
      value |= std::uint64_t{bytes[i * item + b]} << (8 * place);
    }
    const bool negative = header.kind == 'i' && (value >> (8 * item - 1)) != 0;
    if (negative || value > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
      fail(ErrorCode::bad_data, "{}: label {} is {}; labels are 0, 1, ...", path.string(), i,
           negative ? "negative" : "too large");
    }
    labels[i] = static_cast<std::int32_t>(value);
  }
  return labels;
}

template <class Pixel>
Dataset read_images(const File& file, const Header& header, std::vector<std::int32_t> labels) {
  const Shape shape(header.shape);
  const std::shared_ptr<Pixel[]> pixels(new Pixel[static_cast<std::size_t>(shape.size())]);
  file.read_at(header.data_offset, pixels.get(), shape.size() * header.item_size);
  return from_memory(std::shared_ptr<const Pixel[]>(pixels), std::move(labels), shape.unbatched());
}

}  // namespace

Dataset from_npy(const fs::path& images_file, const fs::path& labels_file) {
  const File file = File::open(images_file);
  const Header header = read_header(images_file, file);
  if (header.shape.size() != 4) {
    fail(ErrorCode::bad_data, "{}: images of shape {}; give [N, H, W, C]", images_file.string(),
         header.shape_text());
  }
  const bool is_bytes = header.dtype() == "uint8";
  if (!is_bytes && header.dtype() != "float32") {
    fail(ErrorCode::bad_data,
         "{}: images of dtype {}; save uint8 or float32, as with .astype(\"float32\")",
         images_file.string(), header.dtype());
  }
  std::vector<std::int32_t> labels = read_labels(labels_file);
  const auto count = static_cast<std::int64_t>(labels.size());
  if (header.shape[0] != count) {
    fail(ErrorCode::bad_data, "{}: {} images, but {} has {} labels", images_file.string(),
         header.shape[0], labels_file.string(), count);
  }
  if (is_bytes) return read_images<std::uint8_t>(file, header, std::move(labels));
  return read_images<float>(file, header, std::move(labels));
}

}  // namespace perch::datasets
