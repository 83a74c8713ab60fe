#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include <perch/core/check.h>
#include <perch/io/hdf5_types.h>

namespace perch::io {

namespace {

static_assert(std::endian::native == std::endian::little && std::numeric_limits<float>::is_iec559);

constexpr std::uint64_t longest_integer = 8;

// The lengths and places of an IEEE number's parts, as a datatype message lists them.
struct FloatLayout {
  std::uint64_t size, sign_at, exponent_at, exponent_bits, mantissa_bits, bias;
};
constexpr std::array<FloatLayout, 3> ieee{
    {{2, 15, 10, 5, 10, 15}, {4, 31, 23, 8, 23, 127}, {8, 63, 52, 11, 52, 1023}}};

bool whole_bytes(H5Cursor& cursor, std::uint64_t size) {
  const std::uint64_t offset = cursor.number(2);
  const std::uint64_t precision = cursor.number(2);
  return offset == 0 && precision == 8 * size;
}

void read_integer_type(H5Cursor& cursor, std::uint64_t flags, H5Type& type) {
  type.big_endian = (flags & 0x01) != 0;
  type.is_signed = (flags & 0x08) != 0;
  const bool plain = whole_bytes(cursor, type.size);
  if (plain && type.size <= longest_integer) type.kind = H5Type::Kind::integer;
}

void read_float_type(H5Cursor& cursor, std::uint64_t flags, H5Type& type) {
  type.big_endian = (flags & 0x01) != 0;
  const bool vax = (flags & 0x40) != 0;
  const bool implied_one = (flags >> 4 & 3) == 2;
  const std::uint64_t sign_at = flags >> 8 & 0xff;
  bool plain = whole_bytes(cursor, type.size) && !vax && implied_one;
  const std::uint64_t exponent_at = cursor.number(1);
  const std::uint64_t exponent_bits = cursor.number(1);
  const std::uint64_t mantissa_at = cursor.number(1);
  const std::uint64_t mantissa_bits = cursor.number(1);
  const std::uint64_t bias = cursor.number(4);
  plain = plain && mantissa_at == 0 && std::ranges::any_of(ieee, [&](const FloatLayout& layout) {
            return layout.size == type.size && layout.sign_at == sign_at &&
                   layout.exponent_at == exponent_at && layout.exponent_bits == exponent_bits &&
                   layout.mantissa_bits == mantissa_bits && layout.bias == bias;
          });
  if (plain) type.kind = H5Type::Kind::floating;
}

std::uint64_t bits_of(const H5Type& type, const std::byte* element) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < type.size; ++i) {
    const std::size_t at = type.big_endian ? i : type.size - 1 - i;
    bits = bits << 8 | std::to_integer<std::uint64_t>(element[at]);
  }
  return bits;
}

float from_half(std::uint64_t bits) {
  const auto exponent = static_cast<int>(bits >> 10 & 0x1f);
  const auto mantissa = static_cast<float>(bits & 0x3ff);
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0x1f) {
    return mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                         : sign * std::numeric_limits<float>::infinity();
  }
  constexpr int bias = 15 + 10;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias);
  return sign * std::ldexp(mantissa + 1024.0f, exponent - bias);
}

}  // namespace

std::optional<std::uint64_t> H5Space::count() const {
  if (null) return 0;
  if (std::ranges::find(extents, 0u) != extents.end()) return 0;
  std::uint64_t product = 1;
  for (const std::uint64_t extent : extents) {
    if (extent > std::numeric_limits<std::uint64_t>::max() / product) return std::nullopt;
    product *= extent;
  }
  return product;
}

H5Space read_space(H5Cursor& cursor) {
  const std::uint64_t version = cursor.number(1);
  const std::uint64_t rank = cursor.number(1);
  cursor.skip(1);  // whether there are largest extents
  H5Space space;
  if (version == 1) {
    cursor.skip(5);
  } else if (version == 2) {
    space.null = cursor.number(1) == 2;
  } else {
    cursor.file().unsupported(cursor.where(), fmt::format("a dataspace of version {}", version));
  }
  for (std::uint64_t axis = 0; axis < rank; ++axis) space.extents.push_back(cursor.number(8));
  return space;
}

H5Type read_type(H5Cursor& cursor) {
  const std::uint64_t kind = cursor.number(1) & 0x0f;
  const std::uint64_t flags = cursor.number(3);
  H5Type type;
  type.size = cursor.number(4);
  if (type.size == 0) {
    cursor.file().damaged(fmt::format("{} has elements of no bytes", cursor.where()));
  }
  constexpr std::uint64_t heap_reference = 16;  // a length, a collection's address, an index
  if (kind == 0) read_integer_type(cursor, flags, type);
  if (kind == 1) read_float_type(cursor, flags, type);
  if (kind == 3) type.kind = H5Type::Kind::text;
  if (kind == 9 && (flags & 0x0f) == 1 && type.size == heap_reference) {
    type.kind = H5Type::Kind::variable_text;
  }
  return type;
}

void to_floats(const H5Type& type, H5Bytes bytes, std::span<float> values) {
  if (type.size == sizeof(float) && !type.big_endian) {
    std::copy_n(bytes.data(), values.size_bytes(), std::as_writable_bytes(values).data());
    return;
  }
  const std::byte* element = bytes.data();
  for (float& value : values) {
    const std::uint64_t bits = bits_of(type, element);
    element += type.size;
    if (type.size == 2) value = from_half(bits);
    if (type.size == 4) value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (type.size == 8) value = static_cast<float>(std::bit_cast<double>(bits));
  }
}

std::optional<std::int64_t> to_integer(const H5Type& type, H5Bytes element) {
  std::uint64_t bits = bits_of(type, element.data());
  const std::uint64_t unused = 64 - 8 * type.size;
  if (type.is_signed) return static_cast<std::int64_t>(bits << unused) >> unused;
  if (bits > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(bits);
}

}  // namespace perch::io
