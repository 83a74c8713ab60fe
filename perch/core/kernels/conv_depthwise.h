// Convolutions of each channel with filters of its own, vectorised along channels. For kernel
// sources only.
#pragma once

#include <perch/core/kernels/conv_window.h>

namespace perch::kernels {
namespace {

// Taps whose sums are in registers at once: a 3x3 window.
constexpr int block_taps = 9;

inline void depthwise_block(const PositionBlock& block, const WindowProduct& product,
                            std::int64_t width, std::int64_t channel) {
  const WindowWalk& walk = product.walk;
  Batch sums[block_positions];
  const Batch bias = load_or_zero(product.bias == nullptr ? nullptr : product.bias + channel);
  repeat<block_positions>([&](int p) PERCH_INLINE { sums[p] = bias; });
  const float* weights = product.weights + channel;
  for (std::int64_t row = 0; row < walk.tap_rows; ++row) {
    for (std::int64_t col = 0; col < walk.tap_cols; ++col) {
      const std::int64_t offset = row * walk.in_tap_row + col * walk.in_tap_col + channel;
      const Batch w = Batch::load_aligned(weights);
      repeat<block_positions>([&](int p) PERCH_INLINE {
        sums[p] = multiply_add(Batch::load_unaligned(block.in[p] + offset), w, sums[p]);
      });
      weights += width;
    }
  }
  repeat<block_positions>([&](int p) PERCH_INLINE {
    if (p < block.count) store_first(sums[p], block.out[p] + channel, product.filters - channel);
  });
}

inline void depthwise_forward(const WindowProduct& product) {
  const std::int64_t width = (product.filters + lanes - 1) / lanes * lanes;
  PositionCursor cursor(product.walk, product.input, product.output);
  PositionBlock block;
  while (cursor.next(block)) {
    for (std::int64_t c = 0; c < product.filters; c += lanes) {
      depthwise_block(block, product, width, c);
    }
  }
}

template <int Taps>
[[gnu::noinline]] void gather_taps(const WindowGradient& job, std::int64_t first,
                                   std::int64_t channel) {
  const WindowWalk& walk = job.walk;
  std::int64_t offsets[Taps];
  Batch sums[Taps];
  repeat<Taps>([&](int t) PERCH_INLINE {
    const std::int64_t tap = first + t;
    offsets[t] = tap / walk.tap_cols * walk.in_tap_row + tap % walk.tap_cols * walk.in_tap_col;
    sums[t] = Batch(0.0f);
  });
  for (std::int64_t image = 0; image < walk.images; ++image) {
    for (std::int64_t row = 0; row < walk.rows; ++row) {
      const float* x = job.input + image * walk.in_image + row * walk.in_row + channel;
      const float* dy = job.gradient + image * walk.out_image + row * walk.out_row + channel;
      for (std::int64_t col = 0; col < walk.cols; ++col) {
        const Batch d = Batch::load_unaligned(dy);
        repeat<Taps>([&](int t) PERCH_INLINE {
          sums[t] = multiply_add(Batch::load_unaligned(x + offsets[t]), d, sums[t]);
        });
        x += walk.in_col;
        dy += walk.out_col;
      }
    }
  }
  repeat<Taps>([&](int t) PERCH_INLINE {
    float* const place = job.sums + (first + t) * job.filters + channel;
    (Batch::load_unaligned(place) + sums[t]).store_unaligned(place);
  });
}

template <int Taps = block_taps>
inline void gather_some_taps(std::int64_t taps, const WindowGradient& job, std::int64_t first,
                             std::int64_t channel) {
  if constexpr (Taps > 1) {
    if (taps < Taps) return gather_some_taps<Taps - 1>(taps, job, first, channel);
  }
  gather_taps<Taps>(job, first, channel);
}

inline void depthwise_weight_gradient(const WindowGradient& job) {
  const std::int64_t taps = job.walk.tap_rows * job.walk.tap_cols;
  for (std::int64_t c = 0; c < job.filters; c += lanes) {
    for (std::int64_t first = 0; first < taps; first += block_taps) {
      gather_some_taps(taps - first, job, first, c);
    }
  }
}

}  // namespace
}  // namespace perch::kernels
