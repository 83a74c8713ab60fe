#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/datasets/file.h>

namespace perch::datasets {
namespace {

int open_descriptor(const std::filesystem::path& path, int flags, ErrorCode code,
                    const char* purpose) {
  constexpr mode_t permissions = 0666;
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, permissions);
  if (descriptor < 0) fail(code, "{}: cannot {}: {}", path.string(), purpose, std::strerror(errno));
  return descriptor;
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}
File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open(const std::filesystem::path& path) {
  File file(open_descriptor(path, O_RDONLY, ErrorCode::missing_input, "read this file"), path);
  struct stat status {};
  if (::fstat(file.descriptor_, &status) == 0 && !S_ISREG(status.st_mode)) {
    fail(ErrorCode::bad_data, "{}: is not a regular file", path.string());
  }
  return file;
}

File File::create(const std::filesystem::path& path) {
  return {open_descriptor(path, O_WRONLY | O_CREAT | O_EXCL, ErrorCode::cannot_create,
                          "create this file"),
          path};
}

File File::open_locked(const std::filesystem::path& path) {
  File file(open_descriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, ErrorCode::cannot_create,
                            "create this file"),
            path);
  if (::flock(file.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    fail(ErrorCode::cannot_create, "{}: another process is writing it; wait for that one to end",
         path.string());
  }
  file.truncate(file.size());
  return file;
}

std::int64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    fail(ErrorCode::io, "{}: cannot tell its size: {}", path_.string(), std::strerror(errno));
  }
  return status.st_size;
}

void File::read_at(std::int64_t offset, void* out, std::int64_t count) const {
  // A call that reads from a slow disk cannot be interrupted.
  constexpr std::int64_t most = std::int64_t{1} << 20;
  auto* next = static_cast<char*>(out);
  while (count > 0) {
    throw_if_interrupted();
    const auto piece = static_cast<std::size_t>(std::min(count, most));
    const ssize_t got = ::pread(descriptor_, next, piece, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::io, "{}: cannot read: {}", path_.string(), std::strerror(errno));
    if (got == 0) fail(ErrorCode::bad_data, "{}: ends too early", path_.string());
    next += got;
    offset += got;
    count -= got;
  }
}

void File::write(const void* data, std::int64_t count) {
  const auto* next = static_cast<const char*>(data);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, static_cast<std::size_t>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorCode::io, "{}: cannot write: {}", path_.string(), std::strerror(errno));
    }
    next += written;
    count -= written;
  }
}

void File::truncate(std::int64_t size) {
  if (::ftruncate(descriptor_, size) != 0 || ::lseek(descriptor_, size, SEEK_SET) != size) {
    fail(ErrorCode::io, "{}: cannot resize: {}", path_.string(), std::strerror(errno));
  }
}

void File::sync() {
  if (::fsync(descriptor_) != 0) {
    fail(ErrorCode::io, "{}: cannot write: {}", path_.string(), std::strerror(errno));
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!done) fail(ErrorCode::io, "{}: cannot write: {}", folder.string(), std::strerror(reason));
}

}  // namespace perch::datasets
