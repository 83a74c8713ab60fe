#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include <tests/support/allocation_counter.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PERCH_TEST_COUNTS_ALLOCATIONS 1
#else
#define PERCH_TEST_COUNTS_ALLOCATIONS 0
#endif

namespace perch::test {
namespace {

constexpr std::size_t off = std::numeric_limits<std::size_t>::max();
constinit std::atomic<std::size_t> least{off}, most{0};
constinit std::atomic<std::int64_t> counted{0};

}  // namespace

AllocationCounter::AllocationCounter(std::size_t minimum) {
  counted = 0;
  most = 0;
  least = minimum;
}

AllocationCounter::~AllocationCounter() {
  least = off;
}

std::int64_t AllocationCounter::count() const {
  return counted;
}

std::size_t AllocationCounter::largest() const {
  return most;
}

bool AllocationCounter::available() {
  return PERCH_TEST_COUNTS_ALLOCATIONS != 0;
}

#if PERCH_TEST_COUNTS_ALLOCATIONS

namespace {

void note(std::size_t bytes) {
  if (bytes < least.load(std::memory_order_relaxed)) return;
  ++counted;
  std::size_t former = most;
  while (former < bytes && !most.compare_exchange_weak(former, bytes)) {
  }
}

}  // namespace

#endif

}  // namespace perch::test

#if PERCH_TEST_COUNTS_ALLOCATIONS

// glibc lets a program put its own allocator in the place of the library's, which stays reachable
// by these names. operator new, std::vector, TBB and OpenBLAS all end here.
extern "C" {

void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
  perch::test::note(bytes);
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  perch::test::note(count * bytes);
  return __libc_calloc(count, bytes);
}

void* realloc(void* block, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  return __libc_realloc(block, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  *block = __libc_memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif
