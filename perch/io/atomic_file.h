// Writing a file so that nobody ever sees half of it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace perch::io {

/// Whether the bytes are on the disk when it returns. Without, a power cut may lose them.
enum class Sync { yes, no };

/// Writes to a temporary file in the same folder (made if it is missing), syncs it, renames it over
/// `file`, which stays as it is until then, and syncs the folder: behind the return the new content
/// survives a power cut, before it one of the two does, whole. Throws Error(cannot_create) when the
/// folder does not take a file, Error(io) when writing fails midway (a full disk); the temporary
/// file is removed then.
void write_atomically(const std::filesystem::path& file, std::span<const std::byte> bytes,
                      Sync sync = Sync::yes);
void write_atomically(const std::filesystem::path& file, std::string_view text,
                      Sync sync = Sync::yes);

/// Whether a name is that of a temporary file of write_atomically() for `file`, which has the same
/// folder.
bool is_unfinished(const std::string& name, const std::filesystem::path& file);

/// Removes the temporary files of write_atomically() that a killed process left in a folder: of
/// `file` alone, or of all files where the path ends in a slash. For a folder, or a file, that
/// nobody else writes to at this time.
void remove_unfinished(const std::filesystem::path& file);

}  // namespace perch::io
