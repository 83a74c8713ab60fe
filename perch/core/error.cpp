#include <perch/core/error.h>

namespace perch {
namespace {

/// Messages quote what files hold: control characters would break the line or steer a terminal.
std::string one_line(const std::string& message) {
  constexpr const char* digits = "0123456789abcdef";
  std::string result;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      result += "\\n";
    } else if (byte < ' ' || c == '\x7f') {
      result += "\\x";
      result += digits[byte / 16];
      result += digits[byte % 16];
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(one_line(message)), code_(code) {}

}  // namespace perch
