// FolderLock: a folder for one process at a time.
#pragma once

#include <filesystem>
#include <string>

namespace perch::io {

/// flock() on `folder`/.lock, so that it dies with its process.
class FolderLock {
 public:
  /// The folder must exist. Throws Error(cannot_create) where another process has it, naming that
  /// one, and does not let go within two seconds, and where it cannot be written to; `advice` ends
  /// the message.
  FolderLock(const std::filesystem::path& folder, const std::string& advice);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  static constexpr const char* file_name = ".lock";
  /// flock() of an open file, exclusive. A holder that was killed may take a moment to go: waits
  /// for two seconds. False where the file is still another's then, or cannot be locked (errno).
  static bool lock(int descriptor);

 private:
  int descriptor_ = -1;
};

}  // namespace perch::io
