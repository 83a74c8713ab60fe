// Convolutions that mix channels, in float: forward product and weight gradient. For kernel sources
// only.
#pragma once

#include <perch/core/kernels/conv_product.h>

namespace perch::kernels {
namespace {

struct FloatArithmetic {
  using Element = float;
  using Weight = float;
  using Sum = Batch;
  using Weights = Batch;
  using Product = WindowProduct;
  static constexpr std::int64_t width = lanes;

  static Sum start(const Product& product, std::int64_t first) {
    return load_or_zero(product.bias == nullptr ? nullptr : product.bias + first);
  }
  static Weights load(const Weight* from) { return Batch::load_aligned(from); }
  static Batch spread(Element x) { return Batch(x); }
  static Sum multiply_add(const Batch& x, const Weights& w, const Sum& sum) {
    return kernels::multiply_add(x, w, sum);
  }

  struct Finish {
    Finish(const Product&, std::int64_t) {}
    const Batch& operator()(const Sum& sum, std::int64_t) const { return sum; }
  };
};

inline void forward(const WindowProduct& product) {
  multiply_windows<FloatArithmetic>(product);
}

/// Sums of `Terms` neighbouring terms and `Vectors` vectors of filters over all positions.
template <int Terms, int Vectors>
[[gnu::noinline]] void gather_terms(const WindowGradient& job, const float* input,
                                    const float* gradient, float* to) {
  const WindowWalk& walk = job.walk;
  Batch sums[Terms][Vectors];
  repeat<Terms>([&](int t) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE { sums[t][v] = Batch(0.0f); });
  });
  for (std::int64_t image = 0; image < walk.images; ++image) {
    for (std::int64_t row = 0; row < walk.rows; ++row) {
      const float* x = input + image * walk.in_image + row * walk.in_row;
      const float* dy = gradient + image * walk.out_image + row * walk.out_row;
      for (std::int64_t col = 0; col < walk.cols; ++col) {
        Batch d[Vectors];
        repeat<Vectors>([&](int v) PERCH_INLINE { d[v] = Batch::load_unaligned(dy + v * lanes); });
        repeat<Terms>([&](int t) PERCH_INLINE {
          const Batch value(x[t]);
          repeat<Vectors>([&](int v)
                              PERCH_INLINE { sums[t][v] = multiply_add(value, d[v], sums[t][v]); });
        });
        x += walk.in_col;
        dy += walk.out_col;
      }
    }
  }
  repeat<Terms>([&](int t) PERCH_INLINE {
    repeat<Vectors>([&](int v) PERCH_INLINE {
      float* const place = to + t * job.filters + v * lanes;
      (Batch::load_unaligned(place) + sums[t][v]).store_unaligned(place);
    });
  });
}

/// Terms of a block, for the number of registers to be about the same.
template <int Vectors>
constexpr int most_terms = Vectors == 1 ? 2 * block_terms : block_terms;

template <int Vectors, int Terms = most_terms<Vectors>>
inline void gather_some_terms(std::int64_t terms, const WindowGradient& job, const float* input,
                              const float* gradient, float* to) {
  if constexpr (Terms > 1) {
    if (terms < Terms)
      return gather_some_terms<Vectors, Terms - 1>(terms, job, input, gradient, to);
  }
  gather_terms<Terms, Vectors>(job, input, gradient, to);
}

/// One or two vectors of filters, from `first` on.
template <int Vectors>
inline void gather_filters(const WindowGradient& job, std::int64_t first) {
  const WindowWalk& walk = job.walk;
  // A run is cut into blocks of nearly equal length.
  const std::int64_t blocks = (walk.run + most_terms<Vectors> - 1) / most_terms<Vectors>;
  float* to = job.sums + first;
  for (std::int64_t row = 0; row < walk.tap_rows; ++row) {
    for (std::int64_t col = 0; col < walk.tap_cols; ++col) {
      const float* input = job.input + row * walk.in_tap_row + col * walk.in_tap_col;
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t terms = (b + 1) * walk.run / blocks - b * walk.run / blocks;
        gather_some_terms<Vectors>(terms, job, input, job.gradient + first, to);
        input += terms;
        to += terms * job.filters;
      }
    }
  }
}

inline void weight_gradient(const WindowGradient& job) {
  for (std::int64_t f = 0; f < job.filters; f += filter_vectors * lanes) {
    if (job.filters - f > lanes) {
      gather_filters<filter_vectors>(job, f);
    } else {
      gather_filters<1>(job, f);
    }
  }
}

inline void column_sums(const WindowGradient& job) {
  const WindowWalk& walk = job.walk;
  for (std::int64_t f = 0; f < job.filters; f += lanes) {
    Batch sum(0.0f);
    for (std::int64_t image = 0; image < walk.images; ++image) {
      for (std::int64_t row = 0; row < walk.rows; ++row) {
        const float* dy = job.gradient + image * walk.out_image + row * walk.out_row + f;
        for (std::int64_t col = 0; col < walk.cols; ++col, dy += walk.out_col) {
          sum += Batch::load_unaligned(dy);
        }
      }
    }
    (Batch::load_unaligned(job.sums + f) + sum).store_unaligned(job.sums + f);
  }
}

}  // namespace
}  // namespace perch::kernels
