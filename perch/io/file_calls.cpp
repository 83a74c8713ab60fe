#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

#include <perch/io/file_calls.h>

namespace perch::io {

FileCalls& file_calls() {
  static FileCalls calls{
      .make_temporary = [](char* path) { return ::mkostemp(path, O_CLOEXEC); },
      .open_folder =
          [](const char* path) { return ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); },
      .write = ::write,
      .fsync = ::fsync,
      .close = ::close,
      .rename = ::rename,
      .unlink = ::unlink,
  };
  return calls;
}

}  // namespace perch::io
