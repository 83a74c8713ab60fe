#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/grid.h>
#include <perch/core/kernels/join.h>
#include <perch/core/kernels/tail_readers.h>

namespace perch::kernels {
namespace {

/// run(sum) with sum(i, column, access) for the unlimited sums.
template <class Run>
inline void with_sums(const JoinInput& in, const Run& run) {
  with_reader(in.a, in.a_map, [&](const auto& a) {
    with_reader(in.b, in.b_map, [&](const auto& b) {
      run([&](std::int64_t i, std::int64_t column, const auto& access)
              PERCH_INLINE { return a.at(i, column, access) + b.at(i, column, access); });
    });
  });
}

bool range(const JoinInput& in, float* min, float* max, std::int64_t n, std::int64_t width) {
  const Batch low(in.low), high(in.high);
  Batch least(*min), most(*max), total(0.0f);
  with_sums(in, [&](const auto& sum) {
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      const Batch value = limit(sum(i, column, access), low, high);
      least = xsimd::min(value, least);
      most = xsimd::max(value, most);
      total += value;
    });
  });
  alignas(64) float lows[lanes], highs[lanes];
  least.store_aligned(lows);
  most.store_aligned(highs);
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    *min = lows[lane] < *min ? lows[lane] : *min;
    *max = highs[lane] > *max ? highs[lane] : *max;
  }
  const float all = xsimd::hadd(total);
  return all - all == 0.0f;
}

void decode(const JoinInput& in, float* y, std::int64_t n, std::int64_t width) {
  const Batch low(in.low), high(in.high);
  with_sums(in, [&](const auto& sum) {
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      access.store(y + i, limit(sum(i, column, access), low, high));
    });
  });
}

template <bool dividing>
void encode_as(const JoinInput& in, const GridArgs& grid, std::uint8_t* codes, std::int64_t n,
               std::int64_t width) {
  const Rounding<dividing> rounding(grid);
  const Batch low(in.low), high(in.high), zero_point(grid.zero_point);
  with_sums(in, [&](const auto& sum) {
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      const Batch value = limit(sum(i, column, access), low, high);
      access.store(codes + i, rounding.level(value) + zero_point);
    });
  });
}

void encode(const JoinInput& in, const GridArgs& grid, bool dividing, std::uint8_t* codes,
            std::int64_t n, std::int64_t width) {
  (dividing ? encode_as<true> : encode_as<false>)(in, grid, codes, n, width);
}

void gradient(const JoinInput& in, const float* dy, float* dx, std::int64_t n, std::int64_t width) {
  const Batch low(in.low), high(in.high);
  with_sums(in, [&](const auto& sum) {
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      const Batch value = sum(i, column, access);
      access.store(dx + i, masked(access.load(dy + i), (value >= low) & (value <= high)));
    });
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const JoinKernels join;
const JoinKernels join{.range = kernels::range,
                       .decode = kernels::decode,
                       .encode = kernels::encode,
                       .gradient = kernels::gradient};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
