// What orders threads inside of libraries that the thread sanitizer does not see into, told to it.
// Nothing in other builds.
#pragma once

namespace perch::thread_sanitizer {

/// What this thread has done so far happens before whatever follows an acquire() of the same
/// object.
void release(void* object) noexcept;
void acquire(void* object) noexcept;

}  // namespace perch::thread_sanitizer
