#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/file_calls.h>

namespace perch::io {
namespace {

// A temporary file is called as its target, with these and random letters behind.
const std::string mark = ".perch-";
constexpr std::size_t random_letters = 6;

std::string reason() {
  return std::generic_category().message(errno);
}

// Owns the temporary file: closed and removed unless it is put into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target)
      : target_(target), path_(target.string() + mark + std::string(random_letters, 'X')) {
    make_folder(target.parent_path());
    descriptor_ = file_calls().make_temporary(path_.data());
    if (descriptor_ < 0) {
      fail(ErrorCode::cannot_create,
           "{}: cannot be created: {}; check that the folder exists and is writable",
           target_.string(), reason());
    }
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) file_calls().close(descriptor_);
    if (!path_.empty()) file_calls().unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    // Larger writes may be cut at 2 GiB by the system.
    constexpr std::size_t chunk = std::size_t{1} << 30;
    while (!bytes.empty()) {
      const ssize_t count =
          file_calls().write(descriptor_, bytes.data(), std::min(bytes.size(), chunk));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) broken();
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void put_into_place(Sync sync) {
    // mkostemp makes files private; a model is as readable as any other output.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(descriptor_, 0666 & ~mask);
    if (sync == Sync::yes && file_calls().fsync(descriptor_) != 0) broken();
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (file_calls().close(descriptor) != 0) broken();
    if (file_calls().rename(path_.c_str(), target_.c_str()) != 0) {
      fail(ErrorCode::cannot_create, "{}: cannot be replaced: {}", target_.string(), reason());
    }
    path_.clear();
    if (sync == Sync::yes) sync_folder();
  }

 private:
  void sync_folder() const {
    const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
    const int descriptor = file_calls().open_folder(folder.c_str());
    const bool synced = descriptor >= 0 && file_calls().fsync(descriptor) == 0;
    // Some file systems cannot sync a folder, and need not.
    const bool cannot = descriptor >= 0 && !synced && errno == EINVAL;
    const std::string why = reason();
    if (descriptor >= 0) file_calls().close(descriptor);
    if (!synced && !cannot) {
      fail(ErrorCode::io, "{}: is written, but its folder could not be synced: {}",
           target_.string(), why);
    }
  }

  static void make_folder(const std::filesystem::path& folder) {
    std::error_code error;
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error) {
      fail(ErrorCode::cannot_create, "{}: cannot be created: {}; choose another folder",
           folder.string(), error.message());
    }
  }

  [[noreturn]] void broken() const {
    fail(ErrorCode::io, "{}: writing failed: {}; nothing was changed", target_.string(), reason());
  }

  std::filesystem::path target_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace

void write_atomically(const std::filesystem::path& file, std::span<const std::byte> bytes,
                      Sync sync) {
  TemporaryFile temporary(file);
  temporary.write(bytes);
  temporary.put_into_place(sync);
}

namespace {

// What the temporary file of that name is for; empty where it is none.
std::string target_of(const std::string& name) {
  const std::size_t ending = mark.size() + random_letters;
  if (name.size() <= ending || name.compare(name.size() - ending, mark.size(), mark) != 0)
    return "";
  return name.substr(0, name.size() - ending);
}

}  // namespace

bool is_unfinished(const std::string& name, const std::filesystem::path& file) {
  const std::string target = target_of(name);
  return !target.empty() && target == file.filename().string();
}

void remove_unfinished(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool any = !file.has_filename() && !target_of(name).empty();
    if (any || is_unfinished(name, file)) file_calls().unlink(entry.path().c_str());
  }
}

void write_atomically(const std::filesystem::path& file, std::string_view text, Sync sync) {
  write_atomically(file, std::as_bytes(std::span(text)), sync);
}

}  // namespace perch::io
