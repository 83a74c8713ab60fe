#include <perch/core/sanitizers.h>
#include <perch/core/thread_sanitizer.h>

#if PERCH_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace perch::thread_sanitizer {

#if PERCH_THREAD_SANITIZER

void release(void* object) noexcept {
  __tsan_release(object);
}

void acquire(void* object) noexcept {
  __tsan_acquire(object);
}

#else

void release(void*) noexcept {}
void acquire(void*) noexcept {}

#endif

}  // namespace perch::thread_sanitizer
