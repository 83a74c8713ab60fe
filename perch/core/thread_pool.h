// The threads of parallel_for, TBB's. Internal to core; of the public parallel.h, thread_pool.cpp
// also defines what asks for threads.
#pragma once

#include <cstdint>

#include <perch/core/parallel.h>

namespace perch {

/// body(i) for i in [0, chunks), in any order, by the pool's threads and the caller; returns when
/// all are done. A body's exception is rethrown here.
void run_in_pool(std::int64_t chunks, ChunkBody body);

}  // namespace perch
