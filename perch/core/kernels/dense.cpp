#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/dense.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace perch::kernels::PERCH_ARCH {
namespace {

// Outputs per block: accumulators for two images each, their operands beside them.
#if defined(PERCH_ARCH_IS_AVX512)
constexpr int block_outputs = 12;
#else
constexpr int block_outputs = 5;
#endif
constexpr int block_images = 2;
// Images per block of the input gradient, vectors per block of both gradients.
constexpr int gradient_images = 4;
constexpr int gradient_vectors = 2;

/// Blocks of nearly equal size that the outputs are cut into.
inline std::int64_t output_blocks(const DenseShape& shape) {
  return (shape.outputs + block_outputs - 1) / block_outputs;
}

/// Adds the products of `count` inputs to scratch, lane by lane; starts from zero when `first`.
template <int Images, int Outputs>
[[gnu::noinline]] void forward_block(const DenseShape& shape, const float* x, const float* weights,
                                     std::int64_t count, bool first, float* scratch) {
  const auto place = [&](int n, int f)
                         PERCH_INLINE { return scratch + (n * shape.outputs + f) * lanes; };
  Batch sums[Images][Outputs];
  repeat<Images>([&](int n) PERCH_INLINE {
    repeat<Outputs>([&](int f) PERCH_INLINE {
      sums[n][f] = first ? Batch(0.0f) : Batch::load_aligned(place(n, f));
    });
  });
  const auto add = [&](std::int64_t k, std::int64_t left) PERCH_INLINE {
    Batch values[Images];
    repeat<Images>([&](int n)
                       PERCH_INLINE { values[n] = load_first(x + n * shape.x_stride + k, left); });
    repeat<Outputs>([&](int f) PERCH_INLINE {
      const Batch w = Batch::load_aligned(weights + f * shape.weight_stride + k);
      repeat<Images>([&](int n)
                         PERCH_INLINE { sums[n][f] = multiply_add(values[n], w, sums[n][f]); });
    });
  };
  const std::int64_t whole = count / lanes * lanes;
  for (std::int64_t k = 0; k < whole; k += lanes) add(k, lanes);
  if (whole < count) add(whole, count - whole);
  repeat<Images>([&](int n) PERCH_INLINE {
    repeat<Outputs>([&](int f) PERCH_INLINE { sums[n][f].store_aligned(place(n, f)); });
  });
}

template <int Outputs>
void forward_outputs(const DenseShape& shape, const float* x, const float* weights,
                     std::int64_t count, bool first, float* scratch) {
  const std::int64_t image_sums = shape.outputs * lanes;
  std::int64_t n = 0;
  for (; n + block_images <= shape.images; n += block_images) {
    forward_block<block_images, Outputs>(shape, x + n * shape.x_stride, weights, count, first,
                                         scratch + n * image_sums);
  }
  for (; n < shape.images; ++n) {
    forward_block<1, Outputs>(shape, x + n * shape.x_stride, weights, count, first,
                              scratch + n * image_sums);
  }
}

template <int Outputs = block_outputs>
inline void forward_some_outputs(std::int64_t outputs, const DenseShape& shape, const float* x,
                                 const float* weights, std::int64_t count, bool first,
                                 float* scratch) {
  if constexpr (Outputs > 1) {
    if (outputs < Outputs) {
      return forward_some_outputs<Outputs - 1>(outputs, shape, x, weights, count, first, scratch);
    }
  }
  forward_outputs<Outputs>(shape, x, weights, count, first, scratch);
}

void accumulate(const DenseShape& shape, const float* x, const float* weights, bool first,
                float* sums) {
  const std::int64_t blocks = output_blocks(shape);
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t f = b * shape.outputs / blocks;
    forward_some_outputs((b + 1) * shape.outputs / blocks - f, shape, x,
                         weights + f * shape.weight_stride, shape.inputs, first, sums + f * lanes);
  }
}

void add_lanes(const float* sums, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = xsimd::hadd(Batch::load_aligned(sums + i * lanes));
}

/// `count` inputs, more than (Vectors - 1) * lanes.
template <int Vectors, int Outputs>
PERCH_INLINE inline void gather_outputs(const DenseShape& shape, const float* x, const float* dy,
                                        std::int64_t count, bool first, float* dweights) {
  Batch sums[Outputs][Vectors];
  repeat<Outputs>([&](int f) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE {
      sums[f][v] =
          first ? Batch(0.0f) : Batch::load_aligned(dweights + f * shape.weight_stride + v * lanes);
    });
  });
  for (std::int64_t n = 0; n < shape.images; ++n, x += shape.x_stride, dy += shape.y_stride) {
    Batch values[Vectors];
    repeat<Vectors>([&](int v)
                        PERCH_INLINE { values[v] = load_first(x + v * lanes, count - v * lanes); });
    repeat<Outputs>([&](int f) PERCH_INLINE {
      const Batch d(dy[f]);
      repeat<Vectors>([&](int v)
                          PERCH_INLINE { sums[f][v] = multiply_add(values[v], d, sums[f][v]); });
    });
  }
  repeat<Outputs>([&](int f) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE {
      sums[f][v].store_aligned(dweights + f * shape.weight_stride + v * lanes);
    });
  });
}

template <int Outputs>
void weight_gradient_outputs(const DenseShape& shape, const float* x, const float* dy, bool first,
                             float* dweights) {
  constexpr std::int64_t step = gradient_vectors * lanes;
  std::int64_t k = 0;
  for (; k + step <= shape.inputs; k += step) {
    gather_outputs<gradient_vectors, Outputs>(shape, x + k, dy, step, first, dweights + k);
  }
  for (; k + lanes <= shape.inputs; k += lanes) {
    gather_outputs<1, Outputs>(shape, x + k, dy, lanes, first, dweights + k);
  }
  if (k < shape.inputs) {
    gather_outputs<1, Outputs>(shape, x + k, dy, shape.inputs - k, first, dweights + k);
  }
}

template <int Outputs = block_outputs>
inline void gather_some_outputs(std::int64_t outputs, const DenseShape& shape, const float* x,
                                const float* dy, bool first, float* dweights) {
  if constexpr (Outputs > 1) {
    if (outputs < Outputs) {
      return gather_some_outputs<Outputs - 1>(outputs, shape, x, dy, first, dweights);
    }
  }
  weight_gradient_outputs<Outputs>(shape, x, dy, first, dweights);
}

void weight_gradient(const DenseShape& shape, const float* x, const float* dy, bool first,
                     float* dweights) {
  const std::int64_t blocks = output_blocks(shape);
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t f = b * shape.outputs / blocks;
    gather_some_outputs((b + 1) * shape.outputs / blocks - f, shape, x, dy + f, first,
                        dweights + f * shape.weight_stride);
  }
}

/// `count` inputs, more than (Vectors - 1) * lanes.
template <int Images, int Vectors>
PERCH_INLINE inline void spread_block(const DenseShape& shape, const float* dy,
                                      const float* weights, std::int64_t count, float* dx) {
  Batch sums[Images][Vectors];
  repeat<Images>([&](int n) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE { sums[n][v] = Batch(0.0f); });
  });
  for (std::int64_t f = 0; f < shape.outputs; ++f, weights += shape.weight_stride) {
    Batch w[Vectors];
    repeat<Vectors>([&](int v) PERCH_INLINE { w[v] = Batch::load_aligned(weights + v * lanes); });
    repeat<Images>([&](int n) PERCH_INLINE {
      const Batch d(dy[n * shape.y_stride + f]);
      repeat<Vectors>([&](int v) PERCH_INLINE { sums[n][v] = multiply_add(d, w[v], sums[n][v]); });
    });
  }
  repeat<Images>([&](int n) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE {
      store_first(sums[n][v], dx + n * shape.x_stride + v * lanes, count - v * lanes);
    });
  });
}

template <int Images>
void input_gradient_images(const DenseShape& shape, const float* dy, const float* weights,
                           float* dx) {
  constexpr std::int64_t step = gradient_vectors * lanes;
  std::int64_t k = 0;
  for (; k + step <= shape.inputs; k += step) {
    spread_block<Images, gradient_vectors>(shape, dy, weights + k, step, dx + k);
  }
  for (; k < shape.inputs; k += lanes) {
    const std::int64_t left = shape.inputs - k;
    spread_block<Images, 1>(shape, dy, weights + k, left < lanes ? left : lanes, dx + k);
  }
}

void input_gradient(const DenseShape& shape, const float* dy, const float* weights, float* dx) {
  std::int64_t n = 0;
  for (; n + gradient_images <= shape.images; n += gradient_images) {
    input_gradient_images<gradient_images>(shape, dy + n * shape.y_stride, weights,
                                           dx + n * shape.x_stride);
  }
  for (; n < shape.images; ++n) {
    input_gradient_images<1>(shape, dy + n * shape.y_stride, weights, dx + n * shape.x_stride);
  }
}

// Four by four where there are four; what is left one by one.
void transpose(const float* from, std::int64_t rows, std::int64_t cols, std::int64_t from_stride,
               float* to, std::int64_t to_stride) {
  std::int64_t whole = 0;
#if defined(__SSE2__)
  whole = cols < 4 ? 0 : rows / 4 * 4;
  for (std::int64_t row = 0; row < whole; row += 4) {
    for (std::int64_t col = 0; col < cols; col += 4) {
      // The last tile of a row reaches back over columns that were there already.
      const std::int64_t at = cols - col < 4 ? cols - 4 : col;
      const float* const tile = from + row * from_stride + at;
      __m128 a = _mm_loadu_ps(tile), b = _mm_loadu_ps(tile + from_stride);
      __m128 c = _mm_loadu_ps(tile + 2 * from_stride), d = _mm_loadu_ps(tile + 3 * from_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      float* const turned = to + at * to_stride + row;
      _mm_storeu_ps(turned, a);
      _mm_storeu_ps(turned + to_stride, b);
      _mm_storeu_ps(turned + 2 * to_stride, c);
      _mm_storeu_ps(turned + 3 * to_stride, d);
    }
  }
#endif
  for (std::int64_t row = whole; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      to[col * to_stride + row] = from[row * from_stride + col];
    }
  }
}

}  // namespace

extern const DenseKernels dense;
const DenseKernels dense{lanes, accumulate, add_lanes, input_gradient, weight_gradient, transpose};

}  // namespace perch::kernels::PERCH_ARCH
