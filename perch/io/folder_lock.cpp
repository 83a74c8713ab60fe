#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/io/folder_lock.h>

namespace perch::io {
namespace {

bool is_at(const std::filesystem::path& file, int descriptor) {
  struct stat opened {
  }, there{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(file.c_str(), &there) == 0 &&
         opened.st_ino == there.st_ino && opened.st_dev == there.st_dev;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& advice) {
  const std::filesystem::path file = folder / file_name;
  // Its holder may remove the file before it goes: then the lock is on a file that is no more.
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      fail(ErrorCode::cannot_create, "cannot write to {}: {}; {}", folder.string(),
           std::strerror(errno), advice);
    }
    if (!lock(descriptor_)) {
      char holder[32] = {};
      const ssize_t count = ::pread(descriptor_, holder, sizeof holder - 1, 0);
      ::close(descriptor_);
      fail(ErrorCode::cannot_create, "{} is in use by process {}; wait for it, or {}",
           folder.string(), count > 0 ? holder : "unknown", advice);
    }
  } while (!is_at(file, descriptor_));
  const std::string own = std::to_string(::getpid());
  const bool noted =
      ::ftruncate(descriptor_, 0) == 0 &&
      ::pwrite(descriptor_, own.data(), own.size(), 0) == static_cast<ssize_t>(own.size());
  if (!noted) {
    const int reason = errno;
    ::close(descriptor_);
    fail(ErrorCode::io, "cannot write to {}: {}", file.string(), std::strerror(reason));
  }
}

bool FolderLock::lock(int descriptor) {
  constexpr int patience_ms = 2000, round_ms = 20;
  for (int waited = 0; ::flock(descriptor, LOCK_EX | LOCK_NB) != 0; waited += round_ms) {
    if (waited >= patience_ms || errno != EWOULDBLOCK) return false;
    ::poll(nullptr, 0, round_ms);
  }
  return true;
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace perch::io
