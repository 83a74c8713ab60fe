#include <perch/core/kernels/lanes.h>
#include <perch/core/kernels/pool.h>

namespace perch::kernels {
namespace {

// The part of a window that lies in the image, and its output pixel.
struct Window {
  std::int64_t top, bottom, left, right;
  std::int64_t output;  // offset of the first channel
  std::int64_t count() const { return (bottom - top) * (right - left); }
};

// Calls body(window) for each output pixel.
template <class Body>
void for_each_window(const PoolGeometry& g, Body body) {
  const auto clip = [](std::int64_t value, std::int64_t limit) {
    return value < 0 ? 0 : (value > limit ? limit : value);
  };
  for (std::int64_t row = 0; row < g.out_height; ++row) {
    for (std::int64_t column = 0; column < g.out_width; ++column) {
      const std::int64_t top = row * g.stride_height - g.pad_top;
      const std::int64_t left = column * g.stride_width - g.pad_left;
      body(Window{clip(top, g.in_height), clip(top + g.window_height, g.in_height),
                  clip(left, g.in_width), clip(left + g.window_width, g.in_width),
                  (row * g.out_width + column) * g.channels});
    }
  }
}

// Calls body(channel, count) for each vector of channels.
template <class Body>
void for_each_channel_vector(const PoolGeometry& g, Body body) {
  for (std::int64_t channel = 0; channel < g.channels; channel += lanes) {
    body(channel, g.channels - channel < lanes ? g.channels - channel : lanes);
  }
}

std::int64_t pixel(const PoolGeometry& g, std::int64_t row, std::int64_t column) {
  return (row * g.in_width + column) * g.channels;
}

void max(float* y, const float* x, const PoolGeometry& g) {
  for_each_window(g, [&](const Window& window) {
    for_each_channel_vector(g, [&](std::int64_t channel, std::int64_t count) {
      Batch best = load(x + pixel(g, window.top, window.left) + channel, count);
      for (std::int64_t row = window.top; row < window.bottom; ++row) {
        for (std::int64_t column = window.left; column < window.right; ++column) {
          const Batch value = load(x + pixel(g, row, column) + channel, count);
          best = xsimd::select((value > best) | xsimd::isnan(value), value, best);
        }
      }
      store(y + window.output + channel, best, count);
    });
  });
}

void clear(float* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = 0.0f;
}

void max_gradient(float* dx, const float* dy, const float* x, const float* y,
                  const PoolGeometry& g) {
  clear(dx, g.in_height * g.in_width * g.channels);
  const Batch zero(0.0f);
  for_each_window(g, [&](const Window& window) {
    for_each_channel_vector(g, [&](std::int64_t channel, std::int64_t count) {
      const Batch best = load(y + window.output + channel, count);
      const Batch upstream = load(dy + window.output + channel, count);
      auto open = best == best;
      for (std::int64_t row = window.top; row < window.bottom; ++row) {
        for (std::int64_t column = window.left; column < window.right; ++column) {
          const std::int64_t at = pixel(g, row, column) + channel;
          const auto hit = open & (load(x + at, count) == best);
          open = open & !hit;
          store(dx + at, load(dx + at, count) + xsimd::select(hit, upstream, zero), count);
        }
      }
    });
  });
}

void average(float* y, const float* x, const PoolGeometry& g) {
  for_each_window(g, [&](const Window& window) {
    const Batch factor(1.0f / static_cast<float>(window.count()));
    for_each_channel_vector(g, [&](std::int64_t channel, std::int64_t count) {
      Batch total(0.0f);
      for (std::int64_t row = window.top; row < window.bottom; ++row) {
        // A sum per row first: fewer roundings in a row of additions when windows are large.
        Batch row_total(0.0f);
        for (std::int64_t column = window.left; column < window.right; ++column) {
          row_total += load(x + pixel(g, row, column) + channel, count);
        }
        total += row_total;
      }
      store(y + window.output + channel, total * factor, count);
    });
  });
}

void average_gradient(float* dx, const float* dy, const PoolGeometry& g) {
  clear(dx, g.in_height * g.in_width * g.channels);
  for_each_window(g, [&](const Window& window) {
    const Batch factor(1.0f / static_cast<float>(window.count()));
    for_each_channel_vector(g, [&](std::int64_t channel, std::int64_t count) {
      const Batch share = load(dy + window.output + channel, count) * factor;
      for (std::int64_t row = window.top; row < window.bottom; ++row) {
        for (std::int64_t column = window.left; column < window.right; ++column) {
          const std::int64_t at = pixel(g, row, column) + channel;
          store(dx + at, load(dx + at, count) + share, count);
        }
      }
    });
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const PoolKernels pool;
const PoolKernels pool{
    .max = kernels::max,
    .max_gradient = kernels::max_gradient,
    .average = kernels::average,
    .average_gradient = kernels::average_gradient,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
