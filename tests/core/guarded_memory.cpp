#include "tests/core/guarded_memory.h"

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace perch::test {
namespace {

constexpr std::size_t band = 1024;  // bytes, before and behind

struct Registry {
  std::mutex mutex;
  std::map<char*, std::size_t> blocks;  // start of what the caller got, and its size
  bool intact = true;
};

// Never destroyed: tensors with static lifetime are returned late.
Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

std::size_t rounded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

void paint(char* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += sizeof canary) {
    std::memcpy(from + i, &canary, sizeof canary);
  }
}

bool painted(const char* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += sizeof canary) {
    if (std::memcmp(from + i, &canary, sizeof canary) != 0) return false;
  }
  return true;
}

bool bands_painted(const char* block, std::size_t bytes) {
  return painted(block - band, band) && painted(block + rounded(bytes), band);
}

}  // namespace

bool guard_bands_intact() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  for (const auto& [block, bytes] : r.blocks) {
    if (bands_painted(block, bytes)) continue;
    r.intact = false;
    paint(block - band, band);
    paint(block + rounded(bytes), band);
  }
  return std::exchange(r.intact, true);
}

#if !PERCH_THREAD_SANITIZER

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (alignment > band) throw std::bad_alloc();
  const std::size_t total = band + rounded(bytes) + band;
  auto* const start =
      static_cast<char*>(std::aligned_alloc(band, (total + band - 1) / band * band));
  if (start == nullptr) throw std::bad_alloc();
  paint(start, total);
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.blocks[start + band] = bytes;
  return start + band;
}

void release(void* block) {
  if (block == nullptr) return;
  Registry& r = registry();
  {
    const std::lock_guard lock(r.mutex);
    const auto found = r.blocks.find(static_cast<char*>(block));
    r.intact &= bands_painted(found->first, found->second);
    r.blocks.erase(found);
  }
  std::free(static_cast<char*>(block) - band);
}

}  // namespace

#endif

}  // namespace perch::test

#if !PERCH_THREAD_SANITIZER
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return perch::test::allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block, std::align_val_t) noexcept {
  perch::test::release(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  perch::test::release(block);
}
#endif
