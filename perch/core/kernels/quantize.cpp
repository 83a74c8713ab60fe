#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/grid.h>

namespace perch::kernels {
namespace {

// step(i, load, store) for every batch of [0, n), the last one partial.
template <class Step>
inline void for_batches(std::int64_t n, const Step& step) {
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    step(
        i, [&](const float* p) { return access.load(p); },
        [&](float* p, const Batch& value) { access.store(p, value); });
  });
}

// step(begin, size) for every repetition of the period in [0, n).
template <class Step>
inline void for_periods(std::int64_t n, std::int64_t period, const Step& step) {
  for (std::int64_t i = 0; i < n; i += period) step(i, n - i < period ? n - i : period);
}

template <bool dividing>
void forward(const float* x, float* y, std::int64_t n, const GridArgs& grid) {
  const Rounding<dividing> rounding(grid);
  for_batches(n, [&](std::int64_t i, auto load, auto store) {
    store(y + i, rounding.level(load(x + i)) * rounding.scale);
  });
}

void forward_periodic(const float* x, float* y, std::int64_t n, std::int64_t period,
                      const GridTable& grids) {
  for_periods(n, period, [&](std::int64_t begin, std::int64_t size) {
    for_batches(size, [&](std::int64_t i, auto load, auto store) {
      const Batch distance =
          above_min(load(x + begin + i), load(grids.nudged_min + i), load(grids.nudged_max + i));
      const Batch level =
          round_level(distance * load(grids.inverse_scale + i), load(grids.quant_zero + i));
      store(y + begin + i, xsimd::select(load(grids.zero_range + i) != Batch(0.0f), Batch(0.0f),
                                         level * load(grids.scale + i)));
    });
  });
}

void backward(const float* x, const float* dy, float* dx, std::int64_t n, float min, float max) {
  const Batch low(min), high(max);
  for_batches(n, [&](std::int64_t i, auto load, auto store) {
    const Batch value = load(x + i);
    store(dx + i, masked(load(dy + i), (value >= low) & (value <= high)));
  });
}

void backward_periodic(const float* x, const float* dy, float* dx, std::int64_t n,
                       std::int64_t period, const GridTable& grids) {
  for_periods(n, period, [&](std::int64_t begin, std::int64_t size) {
    for_batches(size, [&](std::int64_t i, auto load, auto store) {
      const Batch value = load(x + begin + i);
      const auto inside =
          (value >= load(grids.nudged_min + i)) & (value <= load(grids.nudged_max + i));
      const auto dead = load(grids.zero_range + i) != Batch(0.0f);
      store(dx + begin + i, masked(load(dy + begin + i), inside | dead));
    });
  });
}

// Sums run in sixteen columns whatever the vector's width, and are added up in their order.
constexpr std::int64_t columns = 16;
static_assert(columns % lanes == 0);

void backward_sums(const float* x, const float* dy, float* dx, std::int64_t n, float min, float max,
                   float* below, float* above) {
  const Batch low(min), high(max), zero(0.0f);
  alignas(64) float sums[2][columns] = {};
  Batch sum_below[columns / lanes], sum_above[columns / lanes];
  for (std::int64_t c = 0; c < columns / lanes; ++c) sum_below[c] = sum_above[c] = zero;

  std::int64_t i = 0;
  for (; i + columns <= n; i += columns) {
    for (std::int64_t c = 0; c < columns / lanes; ++c) {
      const std::int64_t at = i + c * lanes;
      const Batch value = Batch::load_unaligned(x + at), slope = Batch::load_unaligned(dy + at);
      sum_below[c] += xsimd::select(value < low, slope, zero);
      sum_above[c] += xsimd::select(value > high, slope, zero);
      masked(slope, (value >= low) & (value <= high)).store_unaligned(dx + at);
    }
  }
  for (std::int64_t c = 0; c < columns / lanes; ++c) {
    sum_below[c].store_aligned(sums[0] + c * lanes);
    sum_above[c].store_aligned(sums[1] + c * lanes);
  }
  for (std::int64_t c = 0; i + c < n; ++c) {
    sums[0][c] += x[i + c] < min ? dy[i + c] : 0.0f;
    sums[1][c] += x[i + c] > max ? dy[i + c] : 0.0f;
  }
  backward(x + i, dy + i, dx + i, n - i, min, max);
  for (std::int64_t c = 0; c < columns; ++c) {
    *below += sums[0][c];
    *above += sums[1][c];
  }
}

void backward_sums_periodic(const float* x, const float* dy, float* dx, std::int64_t n,
                            std::int64_t period, const GridTable& grids, float* below,
                            float* above) {
  for_periods(n, period, [&](std::int64_t begin, std::int64_t size) {
    for_batches(size, [&](std::int64_t i, auto load, auto store) {
      const Batch value = load(x + begin + i), slope = load(dy + begin + i), zero(0.0f);
      const Batch low = load(grids.nudged_min + i), high = load(grids.nudged_max + i);
      store(below + i, load(below + i) + xsimd::select(value < low, slope, zero));
      store(above + i, load(above + i) + xsimd::select(value > high, slope, zero));
      const auto dead = load(grids.zero_range + i) != zero;
      store(dx + begin + i, masked(slope, ((value >= low) & (value <= high)) | dead));
    });
  });
}

void widen(const float* x, std::int64_t n, float* min, float* max) {
  constexpr std::int64_t unrolled = 4;  // of each: hides the latency of min and max
  Batch low[unrolled], high[unrolled];
  for (std::int64_t u = 0; u < unrolled; ++u) {
    low[u] = Batch(*min);
    high[u] = Batch(*max);
  }
  std::int64_t i = 0;
  for (; i + unrolled * lanes <= n; i += unrolled * lanes) {
    for (std::int64_t u = 0; u < unrolled; ++u) {
      const Batch value = Batch::load_unaligned(x + i + u * lanes);
      low[u] = xsimd::min(value, low[u]);
      high[u] = xsimd::max(value, high[u]);
    }
  }
  for_batches(n - i, [&](std::int64_t j, auto load, auto) {
    const Batch value = load(x + i + j);
    low[0] = xsimd::min(value, low[0]);
    high[0] = xsimd::max(value, high[0]);
  });
  alignas(64) float lows[lanes], highs[lanes];
  xsimd::min(xsimd::min(low[0], low[1]), xsimd::min(low[2], low[3])).store_aligned(lows);
  xsimd::max(xsimd::max(high[0], high[1]), xsimd::max(high[2], high[3])).store_aligned(highs);
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    *min = lows[lane] < *min ? lows[lane] : *min;
    *max = highs[lane] > *max ? highs[lane] : *max;
  }
}

void widen_periodic(const float* x, std::int64_t n, std::int64_t period, float* min, float* max) {
  for_periods(n, period, [&](std::int64_t begin, std::int64_t size) {
    for_batches(size, [&](std::int64_t i, auto load, auto store) {
      const Batch value = load(x + begin + i);
      store(min + i, xsimd::min(value, load(min + i)));
      store(max + i, xsimd::max(value, load(max + i)));
    });
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const QuantizeKernels quantize;
const QuantizeKernels quantize{
    .forward_dividing = forward<true>,
    .forward_multiplying = forward<false>,
    .forward_periodic = forward_periodic,
    .backward = backward,
    .backward_periodic = backward_periodic,
    .backward_sums = backward_sums,
    .backward_sums_periodic = backward_sums_periodic,
    .widen = widen,
    .widen_periodic = widen_periodic,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
