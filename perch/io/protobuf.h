// Messages of protocol buffers, as far as writing them needs it. For sources of this room.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace perch::io {

/// Bytes of a number, the least significant first.
template <class Unsigned>
void append_little_endian(std::string& bytes, Unsigned value) {
  for (unsigned shift = 0; shift < 8 * sizeof value; shift += 8) {
    bytes.push_back(static_cast<char>(value >> shift & 0xff));
  }
}

/// Fields in the order in which they are added.
class Message {
 public:
  void integer(int field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
  }
  void number(int field, double value) {
    key(field, 1);
    append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
  }
  void number(int field, float value) {
    key(field, 5);
    append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
  }
  void text(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_.append(value);
  }
  void message(int field, const Message& value) { text(field, value.bytes_); }
  void packed(int field, std::span<const double> values) {
    key(field, 2);
    varint(8 * values.size());
    for (const double value : values) {
      append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
    }
  }

  const std::string& bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  void key(int field, int wire_type) {
    varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire_type));
  }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

}  // namespace perch::io
