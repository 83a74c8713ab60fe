#include "fuzz/memory.h"

#include <cstddef>
#include <cstdlib>
#include <new>

#include <malloc.h>

#include <perch/core/sanitizers.h>

using perch::fuzz::note_given_back;
using perch::fuzz::note_taken;

#if PERCH_ADDRESS_SANITIZER || PERCH_THREAD_SANITIZER

extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void*, std::size_t),
                                              void (*given_back)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void* block);
}

void perch::fuzz::count_memory() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void*, std::size_t size) { note_taken(static_cast<std::int64_t>(size)); },
      [](const volatile void* block) {
        note_given_back(static_cast<std::int64_t>(__sanitizer_get_allocated_size(block)));
      });
  if (installed == 0) std::abort();
}

#else

void perch::fuzz::count_memory() {}

namespace {

void* take(std::size_t bytes, std::size_t alignment) {
  // Ahead of the allocation, which may be one that no machine can give.
  note_taken(static_cast<std::int64_t>(bytes));
  const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* const block = alignment <= alignof(std::max_align_t) ? std::malloc(bytes)
                                                             : std::aligned_alloc(alignment, whole);
  if (block == nullptr) throw std::bad_alloc();
  note_taken(static_cast<std::int64_t>(malloc_usable_size(block)) -
             static_cast<std::int64_t>(bytes));
  return block;
}

void give_back(void* block) {
  note_given_back(static_cast<std::int64_t>(malloc_usable_size(block)));
  std::free(block);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return take(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept {
  give_back(block);
}
void operator delete(void* block, std::size_t) noexcept {
  give_back(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  give_back(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  give_back(block);
}

#endif
