#include <cstdio>

#include <perch/core/warn.h>

namespace perch {

void warn(const std::string& line) noexcept {
  std::fputs("perch: warning: ", stderr);
  std::fputs(line.c_str(), stderr);
  std::fputs("\n", stderr);
}

}  // namespace perch
