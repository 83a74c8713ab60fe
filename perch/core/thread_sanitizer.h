// What orders threads inside of libraries that the thread sanitizer does not see into, told to it.
// Nothing in other builds.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define PERCH_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PERCH_THREAD_SANITIZER 1
#endif
#endif

#ifdef PERCH_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace perch::thread_sanitizer {

/// What this thread has done so far happens before whatever follows an acquire() of the same
/// object.
inline void release([[maybe_unused]] void* object) {
#ifdef PERCH_THREAD_SANITIZER
  __tsan_release(object);
#endif
}

inline void acquire([[maybe_unused]] void* object) {
#ifdef PERCH_THREAD_SANITIZER
  __tsan_acquire(object);
#endif
}

}  // namespace perch::thread_sanitizer
