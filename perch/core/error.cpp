#include <perch/core/error.h>

namespace perch {
namespace {

/// Messages quote what files hold: control characters would break the line or steer a terminal.
std::string one_line(const std::string& message) {
  constexpr const char* digits = "0123456789abcdef";
  std::string result;
  const auto write_out = [&](const char* how, unsigned char byte) {
    result += how;
    result += digits[byte / 16];
    result += digits[byte % 16];
  };
  for (std::size_t i = 0; i < message.size(); ++i) {
    const auto byte = static_cast<unsigned char>(message[i]);
    const auto next = static_cast<unsigned char>(i + 1 < message.size() ? message[i + 1] : '\0');
    if (byte == '\n') {
      result += "\\n";
    } else if (byte < ' ' || byte == 0x7f) {
      write_out("\\x", byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      // U+0080 to U+009F: U+009B begins a terminal's command as ESC [ does.
      write_out("\\u00", next);
      ++i;
    } else {
      result += message[i];
    }
  }
  return result;
}

}  // namespace

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(one_line(message)), code_(code) {}

}  // namespace perch
