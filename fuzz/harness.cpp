#include "fuzz/harness.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/memory.h"

namespace perch::fuzz {
namespace {

constexpr std::int64_t memory_limit = 64 << 20;  // bytes, over the input
constexpr double time_limit = 1.0;               // seconds

// Memory in use, and what it may not pass.
std::atomic<std::int64_t> in_use{0}, allowed{INT64_MAX};

[[noreturn]] void finding(const char* what) {
  std::fprintf(stderr, "finding: %s\n", what);
  std::abort();
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

void note_taken(std::int64_t bytes) {
  if (in_use.fetch_add(bytes) + bytes <= allowed) return;
  allowed = INT64_MAX;
  finding("reading takes over 64 MB more than the input");
}

void note_given_back(std::int64_t bytes) {
  in_use -= bytes;
}

MemoryFile::MemoryFile() : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
  if (descriptor_ < 0) std::abort();
  path_ = "/proc/self/fd/";
  path_ += std::to_string(descriptor_);
}

MemoryFile::~MemoryFile() {
  ::close(descriptor_);
}

void MemoryFile::write(std::string_view content) {
  const auto size = static_cast<ssize_t>(content.size());
  if (::ftruncate(descriptor_, size) != 0) std::abort();
  if (size > 0 && ::pwrite(descriptor_, content.data(), content.size(), 0) != size) std::abort();
}

Limits::Limits(std::size_t input_size) : start_(cpu_seconds()) {
  count_memory();
  allowed = in_use + static_cast<std::int64_t>(input_size) + memory_limit;
}

Limits::~Limits() {
  allowed = INT64_MAX;
  if (cpu_seconds() - start_ > time_limit) finding("reading takes over a second");
}

void check_message(std::string_view message) {
  for (const char c : message) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      finding("an error's message is not one line of printable characters");
    }
  }
}

}  // namespace perch::fuzz
