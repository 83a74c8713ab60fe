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

 private:
  int descriptor_ = -1;
};

}  // namespace perch::io
