#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

#include <perch/core/parallel.h>
#include <perch/core/thread_pool.h>

namespace perch {

void parallel_for(std::int64_t chunks, ChunkBody body) {
  if (chunks <= 0) return;
  if (chunks == 1) {
    const FlushDenormals guard;
    body(0);
    return;
  }
  run_in_pool(chunks, [&](std::int64_t i) {
    const FlushDenormals guard;
    body(i);
  });
}

#if defined(__x86_64__) || defined(__i386__)

FlushDenormals::FlushDenormals() : former_(_mm_getcsr()) {
  constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
  _mm_setcsr(former_ | flush_to_zero | denormals_are_zero);
}
FlushDenormals::~FlushDenormals() {
  _mm_setcsr(former_);
}

#else

FlushDenormals::FlushDenormals() : former_(0) {}
FlushDenormals::~FlushDenormals() = default;

#endif

}  // namespace perch
