#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include <tests/support/allocation_counter.h>

#include <perch/core/sanitizers.h>

#if defined(__GLIBC__) && !PERCH_ADDRESS_SANITIZER && !PERCH_THREAD_SANITIZER
#define PERCH_TEST_COUNTS_ALLOCATIONS 1
#else
#define PERCH_TEST_COUNTS_ALLOCATIONS 0
#endif

namespace perch::test {
namespace {

constexpr std::size_t off = std::numeric_limits<std::size_t>::max();
constinit std::atomic<std::size_t> least{off}, most{0};
constinit std::atomic<std::int64_t> counted{0};

// Allocations of this thread until one fails; below 0: none does.
constinit thread_local std::int64_t left = -1;
constinit thread_local bool failed = false;
constinit thread_local std::size_t smallest = 0;

}  // namespace

AllocationFailure::AllocationFailure(std::int64_t number, std::size_t minimum) {
  failed = false;
  smallest = minimum;
  left = number;
}

AllocationFailure::~AllocationFailure() {
  left = -1;
}

bool AllocationFailure::happened() const {
  return failed;
}

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

/// Whether this allocation is the one that fails.
bool fails(std::size_t bytes) {
  if (left < 0 || bytes < smallest || left-- > 0) return false;
  failed = true;
  errno = ENOMEM;
  return true;
}

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
  if (perch::test::fails(bytes)) return nullptr;
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  perch::test::note(count * bytes);
  return __libc_calloc(count, bytes);
}

void* realloc(void* block, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  if (perch::test::fails(bytes)) return nullptr;
  return __libc_realloc(block, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  if (perch::test::fails(bytes)) return nullptr;
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  if (perch::test::fails(bytes)) return nullptr;
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  perch::test::note(bytes);
  if (perch::test::fails(bytes)) return ENOMEM;
  *block = __libc_memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif
