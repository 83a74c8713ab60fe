// Register blocks of the product kernels: unrolled loops, and rows whose length is no multiple of
// the vector's. For kernel sources only.
#pragma once

#include <perch/core/kernels/lanes.h>

// For lambdas that repeat() calls; without it the accumulators would live in memory.
#define PERCH_INLINE __attribute__((always_inline))

namespace perch::kernels {
namespace {

/// f(0), ..., f(Count - 1), unrolled before the compiler decides what lives in registers.
template <int Count, class F>
PERCH_INLINE inline void repeat(const F& f) {
  if constexpr (Count > 0) {
    repeat<Count - 1>(f);
    f(Count - 1);
  }
}

/// The first `count` (at least 1) floats, at most a vector of them; zeros behind them.
inline Batch load_first(const float* from, std::int64_t count) {
  return count >= lanes ? Batch::load_unaligned(from) : load_part(from, count);
}

inline void store_first(const Batch& value, float* to, std::int64_t count) {
  if (count >= lanes) {
    value.store_unaligned(to);
  } else {
    store_part(to, value, count);
  }
}

}  // namespace
}  // namespace perch::kernels
