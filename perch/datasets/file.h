// File: an open file whose errors name the path. For sources of this room.
#pragma once

#include <cstdint>
#include <filesystem>

namespace perch::datasets {

class File {
 public:
  /// For reading. Throws Error(missing_input).
  static File open(const std::filesystem::path& path);
  /// A new file, for writing. Throws Error(cannot_create), also when it exists.
  static File create(const std::filesystem::path& path);
  /// For reading and appending, made if need be, locked against other processes. Throws
  /// Error(cannot_create).
  static File open_locked(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  std::int64_t size() const;
  /// Throws Error(bad_data) when the file ends before, Error(io), Error(interrupted) where a stop
  /// was asked for (see interrupt.h).
  void read_at(std::int64_t offset, void* out, std::int64_t count) const;
  /// Appends at the file position. Throws Error(io).
  void write(const void* data, std::int64_t count);
  /// Cuts the file to `size` bytes and goes to its end. Throws Error(io).
  void truncate(std::int64_t size);
  /// Waits until the content is on the disk. Throws Error(io).
  void sync();

 private:
  File(int descriptor, std::filesystem::path path);
  int descriptor_;
  std::filesystem::path path_;
};

/// Waits until a folder's entries are on the disk. Throws Error(io).
void sync_folder(const std::filesystem::path& folder);

}  // namespace perch::datasets
