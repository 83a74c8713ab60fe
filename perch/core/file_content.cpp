#include <fstream>
#include <sstream>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/file_content.h>

namespace perch {

std::string file_content(const std::filesystem::path& file) {
  std::ifstream input(file, std::ios::binary);
  std::ostringstream content;
  // A folder opens and cannot be read; nothing at all would count as a failure of the output.
  const bool empty = input.peek() == std::ifstream::traits_type::eof();
  const bool read = input.is_open() && !input.bad() && (empty || content << input.rdbuf());
  if (!read) {
    fail(ErrorCode::missing_input, "cannot read {}; give an existing file", file.string());
  }
  return std::move(content).str();
}

}  // namespace perch
