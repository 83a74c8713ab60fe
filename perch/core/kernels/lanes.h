// For kernel sources: maps over flat arrays of any length. The last, incomplete vector takes the
// same instructions as the others, so an element's bits do not depend on its position.
#pragma once

#include <perch/core/kernels/arch.h>

namespace perch::kernels {
namespace {

/// The first `count` (below lanes) values at `from`, 0 in the other lanes.
inline Batch load_part(const float* from, std::int64_t count) {
  alignas(64) float buffer[lanes];
  for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = i < count ? from[i] : 0.0f;
  return Batch::load_aligned(buffer);
}

/// Writes the first `count` (below lanes) lanes and nothing behind them.
inline void store_part(float* to, const Batch& batch, std::int64_t count) {
  alignas(64) float buffer[lanes];
  batch.store_aligned(buffer);
  for (std::int64_t i = 0; i < count; ++i) to[i] = buffer[i];
}

/// The same for any count up to lanes.
inline Batch load(const float* from, std::int64_t count) {
  return count == lanes ? Batch::load_unaligned(from) : load_part(from, count);
}

inline void store(float* to, const Batch& batch, std::int64_t count) {
  if (count == lanes) {
    batch.store_unaligned(to);
  } else {
    store_part(to, batch, count);
  }
}

/// y[i] = f(in[i]...) for i in [0, n). y may be one of the inputs.
template <class F, class... In>
inline void map(float* y, std::int64_t n, F f, const In*... in) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(Batch::load_unaligned(in + i)...).store_unaligned(y + i);
  if (i < n) store_part(y + i, f(load_part(in + i, n - i)...), n - i);
}

}  // namespace
}  // namespace perch::kernels
