// Which sanitizers a build has: PERCH_ADDRESS_SANITIZER and PERCH_THREAD_SANITIZER are 1 or 0. GCC
// says it by macros, clang by features.
#pragma once

#if defined(__has_feature)
#define PERCH_HAS_FEATURE(name) __has_feature(name)
#else
#define PERCH_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || PERCH_HAS_FEATURE(address_sanitizer)
#define PERCH_ADDRESS_SANITIZER 1
#else
#define PERCH_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || PERCH_HAS_FEATURE(thread_sanitizer)
#define PERCH_THREAD_SANITIZER 1
#else
#define PERCH_THREAD_SANITIZER 0
#endif
