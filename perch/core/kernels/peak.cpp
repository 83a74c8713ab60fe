#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/peak.h>

namespace perch::kernels {
namespace {

// Enough chains to hide the latency, few enough for the registers.
constexpr int chains = 12;

float multiply_adds(std::int64_t rounds) {
  Batch sums[chains];
  repeat<chains>([&](int i) PERCH_INLINE { sums[i] = Batch(static_cast<float>(i)); });
  const Batch factor(0.999f), term(0.001f);
  for (std::int64_t round = 0; round < rounds; ++round) {
    repeat<chains>([&](int i) PERCH_INLINE { sums[i] = multiply_add(sums[i], factor, term); });
  }
  Batch total(0.0f);
  repeat<chains>([&](int i) PERCH_INLINE { total += sums[i]; });
  return xsimd::hadd(total);
}

void copy(float* to, const float* from, std::int64_t n) {
  map(
      to, n, [](const Batch& x) { return x; }, from);
}

}  // namespace

namespace PERCH_ARCH {

extern const PeakKernels peak;
const PeakKernels peak{.multiply_adds_per_round = chains * lanes,
                       .multiply_adds = kernels::multiply_adds,
                       .copy = kernels::copy};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
