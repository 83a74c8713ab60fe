#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/dense.h>

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
// Inputs whose weights stay in the first cache while all images go by.
constexpr std::int64_t cached_inputs = 512;

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

void forward(const DenseShape& shape, const float* x, const float* weights, float* scratch,
             float* y) {
  const std::int64_t blocks = output_blocks(shape);
  for (std::int64_t k = 0; k < shape.inputs; k += cached_inputs) {
    const std::int64_t left = shape.inputs - k;
    const std::int64_t count = left < cached_inputs ? left : cached_inputs;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t f = b * shape.outputs / blocks;
      forward_some_outputs((b + 1) * shape.outputs / blocks - f, shape, x + k,
                           weights + f * shape.weight_stride + k, count, k == 0,
                           scratch + f * lanes);
    }
  }
  for (std::int64_t n = 0; n < shape.images; ++n) {
    for (std::int64_t f = 0; f < shape.outputs; ++f, scratch += lanes) {
      y[n * shape.y_stride + f] = xsimd::hadd(Batch::load_aligned(scratch));
    }
  }
}

/// `count` inputs, more than (Vectors - 1) * lanes.
template <int Vectors, int Outputs>
PERCH_INLINE inline void gather_outputs(const DenseShape& shape, const float* x, const float* dy,
                                        std::int64_t count, float* dweights) {
  Batch sums[Outputs][Vectors];
  repeat<Outputs>([&](int f) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE { sums[f][v] = Batch(0.0f); });
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
void weight_gradient_outputs(const DenseShape& shape, const float* x, const float* dy,
                             float* dweights) {
  constexpr std::int64_t step = gradient_vectors * lanes;
  std::int64_t k = 0;
  for (; k + step <= shape.inputs; k += step) {
    gather_outputs<gradient_vectors, Outputs>(shape, x + k, dy, step, dweights + k);
  }
  for (; k + lanes <= shape.inputs; k += lanes) {
    gather_outputs<1, Outputs>(shape, x + k, dy, lanes, dweights + k);
  }
  if (k < shape.inputs) {
    gather_outputs<1, Outputs>(shape, x + k, dy, shape.inputs - k, dweights + k);
  }
}

template <int Outputs = block_outputs>
inline void gather_some_outputs(std::int64_t outputs, const DenseShape& shape, const float* x,
                                const float* dy, float* dweights) {
  if constexpr (Outputs > 1) {
    if (outputs < Outputs) return gather_some_outputs<Outputs - 1>(outputs, shape, x, dy, dweights);
  }
  weight_gradient_outputs<Outputs>(shape, x, dy, dweights);
}

void weight_gradient(const DenseShape& shape, const float* x, const float* dy, float* dweights) {
  const std::int64_t blocks = output_blocks(shape);
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t f = b * shape.outputs / blocks;
    gather_some_outputs((b + 1) * shape.outputs / blocks - f, shape, x, dy + f,
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

}  // namespace

extern const DenseKernels dense;
const DenseKernels dense{lanes, forward, input_gradient, weight_gradient};

}  // namespace perch::kernels::PERCH_ARCH
