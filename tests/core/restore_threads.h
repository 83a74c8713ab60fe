// Puts the number of threads back at the end of a test.
#pragma once

#include <perch/core/parallel.h>

namespace perch::test {

struct RestoreThreads {
  int former = thread_count();
  ~RestoreThreads() { set_thread_count(former); }
};

}  // namespace perch::test
