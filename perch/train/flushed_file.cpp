#include <cerrno>
#include <cstring>
#include <utility>

#include <perch/core/check.h>
#include <perch/train/flushed_file.h>

namespace perch {

FlushedFile::FlushedFile(std::filesystem::path path, std::string owner, Begin begin)
    : path_(std::move(path)), owner_(std::move(owner)) {
  file_.reset(std::fopen(path_.c_str(), begin == Begin::append ? "ae" : "we"));
  if (!file_) {
    fail(ErrorCode::cannot_create, "{}: cannot create {}: {}; choose another file", owner_,
         path_.string(), std::strerror(errno));
  }
}

void FlushedFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size() ||
      std::fflush(file_.get()) != 0) {
    fail(ErrorCode::io, "{}: cannot write to {}: {}; make room or choose another file", owner_,
         path_.string(), std::strerror(errno));
  }
}

}  // namespace perch
