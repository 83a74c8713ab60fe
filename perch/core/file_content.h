// Small files, read whole.
#pragma once

#include <filesystem>
#include <string>

namespace perch {

/// Every byte of a file. Throws Error(missing_input) for one that is not there, is a folder, or
/// cannot be read to its end.
std::string file_content(const std::filesystem::path& file);

}  // namespace perch
