// SHA-256 of files.
#pragma once

#include <filesystem>
#include <string>

/// 64 hexadecimal digits; those of no bytes for a file that cannot be read.
std::string file_digest(const std::filesystem::path& file);
