// Convolutions of each channel with filters of its own, vectorised along channels. For kernel
// sources only.
#pragma once

#include <perch/core/kernels/conv_window.h>

namespace perch::kernels {
namespace {

// Neighbouring outputs whose sums are in registers at once: an input serves several of them.
constexpr int depthwise_positions = 8;
// The same for the gradient's outputs beside the sums of a 3x3 window.
constexpr int gradient_positions = 4;
// Taps whose sums are in registers at once: a 3x3 window.
constexpr int block_taps = 9;

/// Sums to floats: scaled and moved by the bias, where these are not there already.
struct DepthwiseFinish {
  DepthwiseFinish(const WindowProduct& product, std::int64_t channel)
      : scaled(product.scale != nullptr),
        scale(scaled ? Batch::load_unaligned(product.scale + channel) : Batch(1.0f)),
        bias(load_or_zero(product.bias == nullptr ? nullptr : product.bias + channel)) {}
  Batch start() const { return scaled ? Batch(0.0f) : bias; }
  // Two roundings, as the integer products of other convolutions have them.
  Batch operator()(const Batch& sum) const { return scaled ? sum * scale + bias : sum; }

  bool scaled;
  Batch scale, bias;
};

/// `Positions` outputs of a row whose windows are `Step` taps apart, `Taps` columns wide.
template <int Positions, int Taps, int Step>
PERCH_INLINE inline void depthwise_run(const WindowProduct& product, const float* in, float* out,
                                       std::int64_t width, std::int64_t channel) {
  const WindowWalk& walk = product.walk;
  const DepthwiseFinish finish(product, channel);
  Batch sums[Positions];
  repeat<Positions>([&](int p) PERCH_INLINE { sums[p] = finish.start(); });
  const float* weights = product.weights + channel;
  for (std::int64_t row = 0; row < walk.tap_rows; ++row) {
    Batch w[Taps];
    repeat<Taps>([&](int t) PERCH_INLINE { w[t] = Batch::load_aligned(weights + t * width); });
    const float* x = in + row * walk.in_tap_row + channel;
    repeat<(Positions - 1) * Step + Taps>([&](int j) PERCH_INLINE {
      const Batch value = Batch::load_unaligned(x);
      repeat<Taps>([&](int t) PERCH_INLINE {
        const int p = (j - t) / Step;
        if (j >= t && (j - t) % Step == 0 && p < Positions) {
          sums[p] = multiply_add(value, w[t], sums[p]);
        }
      });
      x += walk.in_tap_col;
    });
    weights += Taps * width;
  }
  repeat<Positions>([&](int p) PERCH_INLINE {
    store_first(finish(sums[p]), out + p * walk.out_col + channel, product.filters - channel);
  });
}

template <int Taps, int Step>
[[gnu::noinline]] void depthwise_rows(const WindowProduct& product, std::int64_t width) {
  const WindowWalk& walk = product.walk;
  for (std::int64_t image = 0; image < walk.images; ++image) {
    for (std::int64_t row = 0; row < walk.rows; ++row) {
      const float* const in = product.input + image * walk.in_image + row * walk.in_row;
      float* const out = product.output + image * walk.out_image + row * walk.out_row;
      for (std::int64_t channel = 0; channel < product.filters; channel += lanes) {
        std::int64_t col = 0;
        for (; col + depthwise_positions <= walk.cols; col += depthwise_positions) {
          depthwise_run<depthwise_positions, Taps, Step>(product, in + col * walk.in_col,
                                                         out + col * walk.out_col, width, channel);
        }
        for (; col < walk.cols; ++col) {
          depthwise_run<1, Taps, Step>(product, in + col * walk.in_col, out + col * walk.out_col,
                                       width, channel);
        }
      }
    }
  }
}

/// Any window.
inline void depthwise_position(const WindowProduct& product, const float* in, float* out,
                               std::int64_t width, std::int64_t channel) {
  const WindowWalk& walk = product.walk;
  const DepthwiseFinish finish(product, channel);
  Batch sum = finish.start();
  const float* weights = product.weights + channel;
  for (std::int64_t row = 0; row < walk.tap_rows; ++row) {
    const float* x = in + row * walk.in_tap_row + channel;
    for (std::int64_t col = 0; col < walk.tap_cols; ++col) {
      sum = multiply_add(Batch::load_unaligned(x), Batch::load_aligned(weights), sum);
      x += walk.in_tap_col;
      weights += width;
    }
  }
  store_first(finish(sum), out + channel, product.filters - channel);
}

inline void depthwise_anything(const WindowProduct& product, std::int64_t width) {
  const WindowWalk& walk = product.walk;
  for (std::int64_t image = 0; image < walk.images; ++image) {
    for (std::int64_t row = 0; row < walk.rows; ++row) {
      const float* in = product.input + image * walk.in_image + row * walk.in_row;
      float* out = product.output + image * walk.out_image + row * walk.out_row;
      for (std::int64_t col = 0; col < walk.cols; ++col) {
        for (std::int64_t c = 0; c < product.filters; c += lanes) {
          depthwise_position(product, in, out, width, c);
        }
        in += walk.in_col;
        out += walk.out_col;
      }
    }
  }
}

inline void depthwise_forward(const WindowProduct& product) {
  const std::int64_t width = (product.filters + lanes - 1) / lanes * lanes;
  const WindowWalk& walk = product.walk;
  const std::int64_t step = walk.in_tap_col == 0 ? 0 : walk.in_col / walk.in_tap_col;
  const bool regular = walk.in_tap_col != 0 && walk.in_col == step * walk.in_tap_col;
  if (regular && step == 1 && walk.tap_cols == 1) return depthwise_rows<1, 1>(product, width);
  if (regular && step == 1 && walk.tap_cols == 2) return depthwise_rows<2, 1>(product, width);
  if (regular && step == 1 && walk.tap_cols == 3) return depthwise_rows<3, 1>(product, width);
  if (regular && step == 1 && walk.tap_cols == 5) return depthwise_rows<5, 1>(product, width);
  if (regular && step == 2 && walk.tap_cols == 3) return depthwise_rows<3, 2>(product, width);
  if (regular && step == 2 && walk.tap_cols == 5) return depthwise_rows<5, 2>(product, width);
  depthwise_anything(product, width);
}

/// Adds the products of `Positions` neighbouring outputs' gradients to the sums of Rows x Cols
/// taps.
template <int Positions, int Rows, int Cols, int Step>
PERCH_INLINE inline void gather_run(const WindowWalk& walk, const float* in, const float* gradient,
                                    Batch (&sums)[Rows][Cols]) {
  Batch d[Positions];
  repeat<Positions>(
      [&](int p) PERCH_INLINE { d[p] = Batch::load_unaligned(gradient + p * walk.out_col); });
  repeat<Rows>([&](int r) PERCH_INLINE {
    const float* x = in + r * walk.in_tap_row;
    repeat<(Positions - 1) * Step + Cols>([&](int j) PERCH_INLINE {
      const Batch value = Batch::load_unaligned(x);
      repeat<Cols>([&](int t) PERCH_INLINE {
        const int p = (j - t) / Step;
        if (j >= t && (j - t) % Step == 0 && p < Positions) {
          sums[r][t] = multiply_add(value, d[p], sums[r][t]);
        }
      });
      x += walk.in_tap_col;
    });
  });
}

/// Tap rows [first, first + Rows) of one vector of channels.
template <int Rows, int Cols, int Step>
[[gnu::noinline]] void gather_rows(const WindowGradient& job, std::int64_t first,
                                   std::int64_t channel) {
  const WindowWalk& walk = job.walk;
  Batch sums[Rows][Cols];
  repeat<Rows>([&](int r) PERCH_INLINE {
    repeat<Cols>([&](int t) PERCH_INLINE { sums[r][t] = Batch(0.0f); });
  });
  for (std::int64_t image = 0; image < walk.images; ++image) {
    for (std::int64_t row = 0; row < walk.rows; ++row) {
      const float* x =
          job.input + image * walk.in_image + row * walk.in_row + first * walk.in_tap_row + channel;
      const float* dy = job.gradient + image * walk.out_image + row * walk.out_row + channel;
      std::int64_t col = 0;
      for (; col + gradient_positions <= walk.cols; col += gradient_positions) {
        gather_run<gradient_positions, Rows, Cols, Step>(walk, x + col * walk.in_col,
                                                         dy + col * walk.out_col, sums);
      }
      for (; col < walk.cols; ++col) {
        gather_run<1, Rows, Cols, Step>(walk, x + col * walk.in_col, dy + col * walk.out_col, sums);
      }
    }
  }
  repeat<Rows>([&](int r) PERCH_INLINE {
    repeat<Cols>([&](int t) PERCH_INLINE {
      float* const to = job.sums + ((first + r) * Cols + t) * job.filters + channel;
      (Batch::load_unaligned(to) + sums[r][t]).store_unaligned(to);
    });
  });
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

template <int Rows, int Cols, int Step>
inline void gather_window(const WindowGradient& job) {
  for (std::int64_t c = 0; c < job.filters; c += lanes) {
    for (std::int64_t row = 0; row < job.walk.tap_rows; row += Rows) {
      gather_rows<Rows, Cols, Step>(job, row, c);
    }
  }
}

inline void depthwise_weight_gradient(const WindowGradient& job) {
  const WindowWalk& walk = job.walk;
  if (walk.in_tap_col == walk.in_col) {
    if (walk.tap_cols == 3 && walk.tap_rows == 3) return gather_window<3, 3, 1>(job);
    if (walk.tap_cols == 5) return gather_window<1, 5, 1>(job);
  } else if (2 * walk.in_tap_col == walk.in_col) {
    if (walk.tap_cols == 3 && walk.tap_rows == 3) return gather_window<3, 3, 2>(job);
    if (walk.tap_cols == 5) return gather_window<1, 5, 2>(job);
  }
  const std::int64_t taps = walk.tap_rows * walk.tap_cols;
  for (std::int64_t c = 0; c < job.filters; c += lanes) {
    for (std::int64_t first = 0; first < taps; first += block_taps) {
      gather_some_taps(taps - first, job, first, c);
    }
  }
}

}  // namespace
}  // namespace perch::kernels
