// The system calls by which files are written: one place to make them fail in tests.
#pragma once

#include <cstddef>

#include <sys/types.h>

namespace perch::io {

struct FileCalls {
  int (*make_temporary)(char* path_template);  ///< as mkostemp(), closed on exec
  int (*open_folder)(const char* path);
  ssize_t (*write)(int descriptor, const void* data, std::size_t size);
  int (*fsync)(int descriptor);
  int (*close)(int descriptor);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
};

/// The ones in use, the system's own unless somebody put others there.
FileCalls& file_calls();

}  // namespace perch::io
