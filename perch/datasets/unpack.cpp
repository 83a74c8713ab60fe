#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <archive.h>
#include <archive_entry.h>

#include <perch/core/check.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/file.h>
#include <perch/datasets/unpack.h>

namespace perch::datasets {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t longest_text = 1 << 20;

class Archive {
 public:
  explicit Archive(const fs::path& path)
      : path_(path), handle_(archive_read_new(), archive_read_free) {
    constexpr std::size_t block_size = 1 << 16;
    if (!handle_ || archive_read_support_filter_gzip(handle_.get()) != ARCHIVE_OK ||
        archive_read_support_format_tar(handle_.get()) != ARCHIVE_OK) {
      fail(ErrorCode::failure, "libarchive cannot be initialised");
    }
    if (archive_read_open_filename(handle_.get(), path.c_str(), block_size) != ARCHIVE_OK)
      damaged();
  }

  /// The next member; null at the end.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(handle_.get(), &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result != ARCHIVE_OK) damaged();
    return entry;
  }

  /// Up to `count` bytes of the member; 0 at its end.
  std::int64_t read(void* out, std::int64_t count) {
    const la_ssize_t got = archive_read_data(handle_.get(), out, static_cast<std::size_t>(count));
    if (got < 0) damaged();
    return got;
  }

 private:
  [[noreturn]] void damaged() {
    const char* const reason = archive_error_string(handle_.get());
    fail(ErrorCode::bad_data, "{}: is not a complete .tar.gz: {}", path_.string(),
         reason == nullptr ? "it is damaged" : reason);
  }

  fs::path path_;
  std::unique_ptr<archive, decltype(&archive_read_free)> handle_;
};

const std::set<std::string>& members() {
  static const std::set<std::string> names = [] {
    const auto& batches = cifar10_batch_files();
    std::set<std::string> all(batches.begin(), batches.end());
    all.insert({"batches.meta.txt", "readme.html"});
    return all;
  }();
  return names;
}

/// The known member that a path of the archive means; empty for others.
std::string known_member(const char* path) {
  const std::string prefix = "cifar-10-batches-bin/";
  std::string name = path == nullptr ? "" : path;
  if (name.starts_with("./")) name.erase(0, 2);
  if (!name.starts_with(prefix)) return {};
  name.erase(0, prefix.size());
  return members().contains(name) ? name : "";
}

void check_member(const fs::path& archive, const std::string& name, archive_entry* entry,
                  std::int64_t batch_file_size) {
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr ||
      archive_entry_symlink(entry) != nullptr || !archive_entry_size_is_set(entry)) {
    fail(ErrorCode::bad_data, "{}: member {} is not a regular file", archive.string(), name);
  }
  const std::int64_t size = archive_entry_size(entry);
  const bool batch = name.ends_with(".bin");
  if (batch ? size != batch_file_size : size > longest_text) {
    fail(ErrorCode::bad_data, "{}: member {} has {} bytes, where {}{} are right", archive.string(),
         name, size, batch ? "" : "at most ", batch ? batch_file_size : longest_text);
  }
}

void write_member(Archive& archive, std::int64_t size, const fs::path& path,
                  const std::function<bool()>& stop) {
  std::vector<char> buffer(std::size_t{1} << 18);
  File file = File::create(path);
  std::int64_t written = 0;
  while (const std::int64_t got =
             archive.read(buffer.data(), static_cast<std::int64_t>(buffer.size()))) {
    written += got;
    if (written > size) break;
    file.write(buffer.data(), got);
    if (stop()) fail(ErrorCode::interrupted, "stopped while unpacking; run it again to continue");
  }
  if (written != size) {
    fail(ErrorCode::bad_data, "{}: the archive announces another size", path.string());
  }
  file.sync();
}

}  // namespace

void unpack_cifar10(const fs::path& archive_path, const fs::path& to, std::int64_t batch_file_size,
                    const std::function<bool()>& stop) {
  std::error_code error;
  if (!fs::create_directory(to, error)) {
    fail(ErrorCode::cannot_create, "{}: cannot create this folder: {}", to.string(),
         error ? error.message() : "it exists");
  }
  Archive archive(archive_path);
  std::set<std::string> found;
  while (archive_entry* const entry = archive.next()) {
    const std::string name = known_member(archive_entry_pathname(entry));
    if (name.empty()) continue;
    check_member(archive_path, name, entry, batch_file_size);
    if (!found.insert(name).second) {
      fail(ErrorCode::bad_data, "{}: member {} is there twice", archive_path.string(), name);
    }
    write_member(archive, archive_entry_size(entry), to / name, stop);
  }
  for (const std::string& name : members()) {
    if (!found.contains(name)) {
      fail(ErrorCode::bad_data, "{}: member {} is missing", archive_path.string(), name);
    }
  }
  sync_folder(to);
}

}  // namespace perch::datasets
