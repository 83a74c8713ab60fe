// The memory of this program's tensors lies between guard bands: an op that writes, or whose result
// depends on what it reads, outside of its tensors is found out. Under the thread sanitizer, whose
// operator new cannot be replaced, all counts as intact.
#pragma once

#include <cstdint>
#include <cstring>

#include <perch/core/sanitizers.h>
#include <perch/core/tensor.h>

namespace perch::test {

/// What fresh memory and the bands hold: a NaN that no arithmetic makes.
constexpr std::uint32_t canary = 0x7fbadbad;

/// True when no band of a live or a returned block was written to since the last call.
bool guard_bands_intact();

/// True while the elements that the storage holds behind the tensor's last one, up to a whole cache
/// line, are still as they came from the allocator.
inline bool padding_intact(const Tensor& t) {
  if (PERCH_THREAD_SANITIZER) return true;
  constexpr std::int64_t line = 16;
  for (std::int64_t i = t.size(); i % line != 0; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, t.data() + i, sizeof bits);
    if (bits != canary) return false;
  }
  return true;
}

}  // namespace perch::test
