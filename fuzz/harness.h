// What a fuzz target is made of: a file in memory, and a run that may end in success or
// perch::Error and in nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <perch/core/error.h>

namespace perch::fuzz {

/// A file that lies in memory alone, for readers that ask for a path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void write(std::string_view content);
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// While it lives, taking more than 64 MB over the input's size ends the program, and so does a
/// second of CPU time at its end.
class Limits {
 public:
  explicit Limits(std::size_t input_size);
  ~Limits();
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

 private:
  double start_;
};

/// Ends the program, as a finding, unless the message is one line of printable characters.
void check_message(std::string_view message);

template <class Read>
int run(std::size_t input_size, const Read& read) {
  const Limits limits(input_size);
  try {
    read();
  } catch (const Error& error) {
    check_message(error.what());
  }
  return 0;
}

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace perch::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
