// The product of convolutions that mix channels, written once for every kind of arithmetic. For
// kernel sources only.
#pragma once

#include <perch/core/kernels/conv_window.h>

namespace perch::kernels {
namespace {

// Vectors of filters per block of packed weights: an input, once spread over the lanes, is used
// twice, and sums of all positions still fit the registers (conv_window.h).
constexpr std::int64_t filter_vectors = 2;

/// Sums of all terms for `Groups` groups of positions and `Vectors` vectors of filters.
///
/// Arithmetic: Element and Weight, what a term reads at one position and of one filter; Sum and
/// Weights, vectors over `width` filters; Product, the job; Finish, from sums to floats.
template <class Arithmetic, int Groups, int Vectors, bool even>
[[gnu::noinline]] void multiply_groups(
    const PositionGroup<typename Arithmetic::Element, float> (&groups)[Groups],
    const typename Arithmetic::Product& product, const typename Arithmetic::Weight* weights,
    std::int64_t first) {
  using Element = typename Arithmetic::Element;
  using Sum = typename Arithmetic::Sum;
  const WindowWalk& walk = product.walk;
  Sum sums[Groups][group_positions][Vectors];
  repeat<Vectors>([&](int v) PERCH_INLINE {
    const Sum start = Arithmetic::start(product, first + v * Arithmetic::width);
    repeat<Groups>([&](int g) PERCH_INLINE {
      repeat<group_positions>([&](int p) PERCH_INLINE { sums[g][p][v] = start; });
    });
  });
  for (std::int64_t row = 0; row < walk.tap_rows; ++row) {
    for (std::int64_t col = 0; col < walk.tap_cols; ++col) {
      const std::int64_t offset = row * walk.in_tap_row + col * walk.in_tap_col;
      constexpr int pointers = even ? 1 : group_positions;
      const Element* in[Groups][pointers];
      repeat<Groups>([&](int g) PERCH_INLINE {
        repeat<pointers>([&](int p) PERCH_INLINE { in[g][p] = groups[g].in[p] + offset; });
      });
      for (std::int64_t i = 0; i < walk.run; ++i) {
        typename Arithmetic::Weights w[Vectors];
        repeat<Vectors>(
            [&](int v) PERCH_INLINE { w[v] = Arithmetic::load(weights + v * Arithmetic::width); });
        repeat<Groups>([&](int g) PERCH_INLINE {
          repeat<group_positions>([&](int p) PERCH_INLINE {
            const Element* const place = even ? at_place(in[g][0], p, walk.in_col) : in[g][p];
            const auto x = Arithmetic::spread(place[i]);
            repeat<Vectors>([&](int v) PERCH_INLINE {
              sums[g][p][v] = Arithmetic::multiply_add(x, w[v], sums[g][p][v]);
            });
          });
        });
        weights += Vectors * Arithmetic::width;
      }
    }
  }
  repeat<Vectors>([&](int v) PERCH_INLINE {
    const std::int64_t filter = first + v * Arithmetic::width;
    const typename Arithmetic::Finish finish(product, filter);
    repeat<Groups>([&](int g) PERCH_INLINE {
      repeat<group_positions>([&](int p) PERCH_INLINE {
        float* const out = even ? at_place(groups[g].out[0], p, walk.out_col) : groups[g].out[p];
        if (even || p < groups[g].count) {
          const std::int64_t number = even ? groups[g].number[0] + p : groups[g].number[p];
          store_first(finish(sums[g][p][v], number), out + filter, product.filters - filter);
        }
      });
    });
  });
}

template <class Arithmetic, int Groups, int Vectors>
void multiply_positions(const typename Arithmetic::Product& product,
                        const typename Arithmetic::Weight* weights, std::int64_t first) {
  using Element = typename Arithmetic::Element;
  PositionCursor<Element, float> cursor(product.walk, product.input, product.output);
  PositionGroup<Element, float> groups[Groups];
  while (cursor.next(groups[0])) {
    for (int g = 1; g < Groups; ++g) {
      if (!cursor.next(groups[g])) groups[g] = groups[g - 1];
    }
    if (groups[0].even) {
      multiply_groups<Arithmetic, Groups, Vectors, true>(groups, product, weights, first);
    } else {
      multiply_groups<Arithmetic, Groups, Vectors, false>(groups, product, weights, first);
    }
  }
}

template <class Arithmetic>
void multiply_windows(const typename Arithmetic::Product& product) {
  const typename Arithmetic::Weight* weights = product.weights;
  const WindowWalk& walk = product.walk;
  const std::int64_t terms = walk.tap_rows * walk.tap_cols * walk.run;
  constexpr std::int64_t width = Arithmetic::width;
  for (std::int64_t first = 0; first < product.filters; first += filter_vectors * width) {
    if (product.filters - first > width) {
      multiply_positions<Arithmetic, 1, filter_vectors>(product, weights, first);
      weights += terms * width * filter_vectors;
    } else {
      multiply_positions<Arithmetic, 2, 1>(product, weights, first);
    }
  }
}

}  // namespace
}  // namespace perch::kernels
