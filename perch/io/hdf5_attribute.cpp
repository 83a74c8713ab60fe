#include <perch/core/check.h>
#include <perch/io/hdf5_attribute.h>
#include <perch/io/hdf5_types.h>

namespace perch::io {

namespace {

constexpr std::uint64_t visited_message = 8;
constexpr std::uint64_t kept_text = 64;
constexpr std::uint64_t most_texts = 1 << 20;

struct Attribute {
  std::string_view name;
  bool shared = false;  ///< its type or space is elsewhere
  H5Bytes type, space, data;
};

Attribute read_attribute(const H5File& file, H5Bytes message, std::string_view where) {
  H5Cursor cursor(file, message, where);
  const std::uint64_t version = cursor.number(1);
  if (version < 1 || version > 3) {
    file.unsupported(where, fmt::format("an attribute of version {}", version));
  }
  const std::uint64_t flags = cursor.number(1);
  const std::uint64_t name_size = cursor.number(2);
  const std::uint64_t type_size = cursor.number(2);
  const std::uint64_t space_size = cursor.number(2);
  if (version == 3) cursor.skip(1);  // character set of the name
  const auto padded = [&](std::uint64_t size) {
    const std::uint64_t padding = version == 1 ? (8 - size % 8) % 8 : 0;
    const H5Bytes taken = cursor.take(size + padding);
    return taken.first(size);
  };
  Attribute attribute;
  attribute.name = h5_text(padded(name_size));
  attribute.shared = version > 1 && (flags & 0x03) != 0;
  attribute.type = padded(type_size);
  attribute.space = padded(space_size);
  attribute.data = cursor.left();
  return attribute;
}

std::string referenced_text(H5File& file, H5Bytes reference, std::string_view where) {
  H5Cursor cursor(file, reference, where);
  const std::uint64_t length = cursor.number(4);
  const std::uint64_t address = cursor.address();
  const std::uint64_t index = cursor.number(4);
  if (length == 0 || address == 0 || address == h5_nowhere) return {};
  const H5Bytes bytes = file.heap_object(address, index, where);
  if (length > bytes.size()) {
    file.damaged(fmt::format("{} is longer than what the file holds of it", where));
  }
  file.charge(length, where);
  return std::string(h5_text(bytes.first(length)));
}

}  // namespace

const H5Message* find_attribute(H5File& file, const H5Messages& messages, std::string_view name,
                                std::string_view where) {
  bool elsewhere = false;
  for (const H5Message& message : messages) {
    file.charge(visited_message, where);
    if (message.kind == H5MessageKind::attribute) {
      if (message.shared) file.unsupported(where, "a shared attribute");
      const std::string_view found = read_attribute(file, message.body, where).name;
      if (found == name) return &message;
      file.charge(found.size(), where);
    } else if (message.kind == H5MessageKind::attribute_info) {
      H5Cursor cursor(file, message.body, where);
      cursor.skip(1);
      if ((cursor.number(1) & 1) != 0) cursor.skip(2);  // the largest order of creation
      elsewhere = cursor.address() != h5_nowhere;
    }
  }
  if (elsewhere) file.unsupported(where, "its many attributes in a heap (libver='latest')");
  return nullptr;
}

std::vector<std::string> read_texts(H5File& file, const H5Message& message,
                                    std::string_view where) {
  const Attribute attribute = read_attribute(file, message.body, where);
  if (attribute.shared) file.unsupported(where, "a shared type (a committed one)");
  H5Cursor space_cursor(file, attribute.space, where);
  const std::optional<std::uint64_t> points = read_space(space_cursor).count();
  if (points == 0u) return {};
  H5Cursor type_cursor(file, attribute.type, where);
  const H5Type type = read_type(type_cursor);
  const bool variable = type.kind == H5Type::Kind::variable_text;
  if (!points || *points > most_texts || (!variable && type.kind != H5Type::Kind::text)) {
    file.damaged(fmt::format("attribute {} does not hold text", where));
  }
  H5Cursor data(file, attribute.data, where);
  if (type.size * *points > attribute.data.size()) {
    file.damaged(fmt::format("attribute {} is longer than the file", where));
  }
  std::vector<std::string> values;
  for (std::uint64_t i = 0; i < *points; ++i) {
    file.charge(kept_text, where);
    const H5Bytes element = data.take(type.size);
    file.charge(variable ? 0 : type.size, where);
    values.push_back(variable ? referenced_text(file, element, where)
                              : std::string(h5_text(element)));
  }
  return values;
}

}  // namespace perch::io
