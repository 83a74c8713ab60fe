#include "model_name.h"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <perch/core/check.h>

using namespace perch;
namespace fs = std::filesystem;

namespace {

[[noreturn]] void cannot_write(const fs::path& path, const std::string& why) {
  fail(ErrorCode::cannot_create, "cannot write to {}: {}; choose another folder with --save",
       path.string(), why);
}

/// Creates the missing folders of a path and takes them away again at the end.
class TemporaryFolders {
 public:
  explicit TemporaryFolders(const fs::path& folder) {
    std::vector<fs::path> missing;
    std::error_code error;
    for (fs::path p = folder; !p.empty() && !fs::exists(p, error); p = p.parent_path()) {
      missing.push_back(p);
    }
    for (auto p = missing.rbegin(); p != missing.rend(); ++p) {
      if (fs::create_directory(*p, error)) created_.push_back(*p);
      if (error) {
        remove();
        cannot_write(*p, error.message());
      }
    }
  }
  ~TemporaryFolders() { remove(); }
  TemporaryFolders(const TemporaryFolders&) = delete;
  TemporaryFolders& operator=(const TemporaryFolders&) = delete;

 private:
  void remove() {
    std::error_code ignored;
    for (; !created_.empty(); created_.pop_back()) fs::remove(created_.back(), ignored);
  }
  std::vector<fs::path> created_;
};

}  // namespace

std::string model_name(const std::string& stem, const QuantizeFlags& quantize) {
  PERCH_CHECK(!stem.empty() && stem.find('/') == std::string::npos,
              "--name '{}' is no file name; leave out slashes and set the folder with --save",
              stem);
  return stem + "_" + quantize.tag();
}

void check_writable(const fs::path& file) {
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) cannot_write(file, "it is a folder");
  const fs::path folder = file.parent_path().empty() ? "." : file.parent_path();
  TemporaryFolders folders(folder);

  std::string probe = (folder / ".perch-probe-XXXXXX").string();
  const int descriptor = mkstemp(probe.data());
  if (descriptor < 0) cannot_write(folder, std::strerror(errno));
  const bool written = write(descriptor, "", 1) == 1;
  const int reason = errno;
  close(descriptor);
  unlink(probe.c_str());
  if (!written) cannot_write(folder, std::strerror(reason));
}
