#include "baseline.h"

#include <algorithm>

#include <perch/core/blas.h>
#include <perch/core/parallel.h>

namespace perch::bench {
namespace {

using blas::Transpose;

// A tile of columns stays in the second cache.
constexpr std::int64_t tile_floats = std::int64_t{1} << 16;

/// body(image, row, column) for each tap of the window at output (row, column) that lies inside:
/// `tap` numbers it, `at` is its pixel in the image.
template <class Body>
void for_taps(const WindowGeometry& g, std::int64_t row, std::int64_t col, const Body& body) {
  for (std::int64_t i = 0; i < g.kernel_height; ++i) {
    const std::int64_t y = row * g.stride_height + i * g.dilation_height - g.pad_top;
    for (std::int64_t j = 0; j < g.kernel_width; ++j) {
      const std::int64_t x = col * g.stride_width + j * g.dilation_width - g.pad_left;
      const bool inside = y >= 0 && y < g.in_height && x >= 0 && x < g.in_width;
      body(i * g.kernel_width + j, inside ? y * g.in_width + x : -1);
    }
  }
}

/// A convolution's outputs in tiles of rows of one image.
class Tiles {
 public:
  explicit Tiles(const WindowGeometry& g)
      : g_(g),
        terms_(g.kernel_height * g.kernel_width * g.channels),
        rows_(g.out_height, tile_floats / (terms_ * g.out_width)) {}

  std::int64_t terms() const { return terms_; }
  std::int64_t pixels(ChunkRange rows) const { return rows.size() * g_.out_width; }
  std::int64_t floats() const { return pixels(rows_[0]) * terms_; }
  /// A 1x1 window over each pixel: the image is its own columns.
  bool in_place() const {
    return terms_ == g_.channels && g_.stride_height == 1 && g_.stride_width == 1;
  }

  /// body(image, rows, first output pixel), each image's tiles in order, `scratch` for each thread.
  template <class Body>
  void for_each(const Body& body) const {
    parallel_for(g_.batch, [&](std::int64_t image) {
      for (std::int64_t i = 0; i < rows_.number(); ++i) {
        body(image, rows_[i], (image * g_.out_height + rows_[i].begin) * g_.out_width);
      }
    });
  }

  /// [pixels, terms] of a tile.
  const float* columns(const Tensor& x, std::int64_t image, ChunkRange rows, float* scratch) const {
    const float* const from = x.data() + image * g_.in_height * g_.in_width * g_.channels;
    if (in_place()) return from + rows.begin * g_.out_width * g_.channels;
    float* to = scratch;
    for_pixels(rows, [&](std::int64_t, std::int64_t pixel) {
      if (pixel < 0) {
        std::fill_n(to, g_.channels, 0.0f);
      } else {
        std::copy_n(from + pixel * g_.channels, g_.channels, to);
      }
      to += g_.channels;
    });
    return scratch;
  }

  /// Adds a tile's columns to the image that they came from.
  void add_columns(const float* columns, std::int64_t image, ChunkRange rows, Tensor& dx) const {
    float* const to = dx.data() + image * g_.in_height * g_.in_width * g_.channels;
    for_pixels(rows, [&](std::int64_t, std::int64_t pixel) {
      for (std::int64_t c = 0; pixel >= 0 && c < g_.channels; ++c) {
        to[pixel * g_.channels + c] += columns[c];
      }
      columns += g_.channels;
    });
  }

 private:
  template <class Body>
  void for_pixels(ChunkRange rows, const Body& body) const {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t col = 0; col < g_.out_width; ++col) for_taps(g_, row, col, body);
    }
  }

  const WindowGeometry& g_;
  std::int64_t terms_;
  Chunks rows_;
};

Shape input_shape(const WindowGeometry& g) {
  return {g.batch, g.in_height, g.in_width, g.channels};
}

Shape output_shape(const WindowGeometry& g, std::int64_t filters) {
  return {g.batch, g.out_height, g.out_width, filters};
}

Tensor scratch_of(std::int64_t floats) {
  return Tensor({thread_count(), floats});
}

float* slot(Tensor& scratch) {
  return scratch.data() + worker_slot() * scratch.shape()[1];
}

/// The sum of [parts][a tensor of this shape].
Tensor sum_of_parts(const Tensor& sums, const Shape& shape) {
  Tensor total = Tensor::zeros(shape);
  for (std::int64_t part = 0; part < sums.shape()[0]; ++part) {
    for (std::int64_t i = 0; i < total.size(); ++i) {
      total.data()[i] += sums.data()[part * total.size() + i];
    }
  }
  return total;
}

}  // namespace

Tensor Im2colConv::forward(const Tensor& x, const Tensor& kernel) const {
  const Tiles tiles(geometry);
  Tensor y(output_shape(geometry, filters)), scratch = scratch_of(tiles.floats());
  tiles.for_each([&](std::int64_t image, ChunkRange rows, std::int64_t first) {
    const float* const columns = tiles.columns(x, image, rows, slot(scratch));
    blas::gemm(Transpose::no, Transpose::no, tiles.pixels(rows), filters, tiles.terms(), 1.0f,
               columns, tiles.terms(), kernel.data(), filters, 0.0f, y.data() + first * filters,
               filters);
  });
  return y;
}

Tensor Im2colConv::kernel_gradient(const Tensor& x, const Tensor& dy) const {
  const Tiles tiles(geometry);
  const Shape shape{geometry.kernel_height, geometry.kernel_width, geometry.channels, filters};
  Tensor sums = Tensor::zeros({thread_count(), shape.size()}), scratch = scratch_of(tiles.floats());
  tiles.for_each([&](std::int64_t image, ChunkRange rows, std::int64_t first) {
    const float* const columns = tiles.columns(x, image, rows, slot(scratch));
    blas::gemm(Transpose::yes, Transpose::no, tiles.terms(), filters, tiles.pixels(rows), 1.0f,
               columns, tiles.terms(), dy.data() + first * filters, filters, 1.0f, slot(sums),
               filters);
  });
  return sum_of_parts(sums, shape);
}

Tensor Im2colConv::input_gradient(const Tensor& kernel, const Tensor& dy) const {
  const Tiles tiles(geometry);
  Tensor dx = Tensor::zeros(input_shape(geometry)), scratch = scratch_of(tiles.floats());
  tiles.for_each([&](std::int64_t image, ChunkRange rows, std::int64_t first) {
    float* const columns = tiles.in_place() ? dx.data() + first * geometry.channels : slot(scratch);
    blas::gemm(Transpose::no, Transpose::yes, tiles.pixels(rows), tiles.terms(), filters, 1.0f,
               dy.data() + first * filters, filters, kernel.data(), filters, 0.0f, columns,
               tiles.terms());
    if (!tiles.in_place()) tiles.add_columns(columns, image, rows, dx);
  });
  return dx;
}

namespace {

/// body(image, tap, input, output): of each output and tap, the offsets of its first channels.
template <class Body>
void for_windows(const WindowGeometry& g, const Body& body) {
  parallel_for(g.batch, [&](std::int64_t image) {
    for (std::int64_t row = 0; row < g.out_height; ++row) {
      for (std::int64_t col = 0; col < g.out_width; ++col) {
        const std::int64_t out = (image * g.out_height + row) * g.out_width + col;
        for_taps(g, row, col, [&](std::int64_t tap, std::int64_t pixel) {
          if (pixel < 0) return;
          body(image, tap * g.channels, (image * g.in_height * g.in_width + pixel) * g.channels,
               out * g.channels);
        });
      }
    }
  });
}

#if defined(__x86_64__)
// The compiler's best for this machine, too.
__attribute__((target_clones("avx512f", "fma", "default")))
#endif
void add_products(float* __restrict to, const float* __restrict a, const float* __restrict b,
                  std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) to[c] += a[c] * b[c];
}

}  // namespace

Tensor LoopDepthwise::forward(const Tensor& x, const Tensor& kernel) const {
  Tensor y = Tensor::zeros(output_shape(geometry, geometry.channels));
  for_windows(geometry, [&](std::int64_t, std::int64_t tap, std::int64_t in, std::int64_t out) {
    add_products(y.data() + out, x.data() + in, kernel.data() + tap, geometry.channels);
  });
  return y;
}

Tensor LoopDepthwise::kernel_gradient(const Tensor& x, const Tensor& dy) const {
  const Shape shape{geometry.kernel_height, geometry.kernel_width, geometry.channels, 1};
  Tensor sums = Tensor::zeros({geometry.batch, shape.size()});
  for_windows(geometry,
              [&](std::int64_t image, std::int64_t tap, std::int64_t in, std::int64_t out) {
                add_products(sums.data() + image * shape.size() + tap, x.data() + in,
                             dy.data() + out, geometry.channels);
              });
  return sum_of_parts(sums, shape);
}

Tensor LoopDepthwise::input_gradient(const Tensor& kernel, const Tensor& dy) const {
  Tensor dx = Tensor::zeros(input_shape(geometry));
  for_windows(geometry, [&](std::int64_t, std::int64_t tap, std::int64_t in, std::int64_t out) {
    add_products(dx.data() + in, kernel.data() + tap, dy.data() + out, geometry.channels);
  });
  return dx;
}

namespace {

/// body(range) over as many ranges of [0, count) as there are threads.
template <class Body>
void split(std::int64_t count, const Body& body) {
  const Chunks chunks(count, (count + thread_count() - 1) / thread_count());
  parallel_for(chunks.number(), [&](std::int64_t i) { body(chunks[i]); });
}

}  // namespace

Tensor BlasDense::forward(const Tensor& x, const Tensor& kernel) const {
  Tensor y({images, outputs});
  split(images, [&](ChunkRange part) {
    blas::gemm(Transpose::no, Transpose::no, part.size(), outputs, inputs, 1.0f,
               x.data() + part.begin * inputs, inputs, kernel.data(), outputs, 0.0f,
               y.data() + part.begin * outputs, outputs);
  });
  return y;
}

Tensor BlasDense::kernel_gradient(const Tensor& x, const Tensor& dy) const {
  Tensor gradient({inputs, outputs});
  split(inputs, [&](ChunkRange part) {
    blas::gemm(Transpose::yes, Transpose::no, part.size(), outputs, images, 1.0f,
               x.data() + part.begin, inputs, dy.data(), outputs, 0.0f,
               gradient.data() + part.begin * outputs, outputs);
  });
  return gradient;
}

Tensor BlasDense::input_gradient(const Tensor& kernel, const Tensor& dy) const {
  Tensor dx({images, inputs});
  split(images, [&](ChunkRange part) {
    blas::gemm(Transpose::no, Transpose::yes, part.size(), inputs, outputs, 1.0f,
               dy.data() + part.begin * outputs, outputs, kernel.data(), outputs, 0.0f,
               dx.data() + part.begin * inputs, inputs);
  });
  return dx;
}

}  // namespace perch::bench
