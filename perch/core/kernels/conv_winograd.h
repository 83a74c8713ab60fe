// Transforms of Winograd's F(2x2, 3x3): a 3x3 convolution of stride 1 in 16 instead of 36 products
// per four outputs (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015).
// For kernel sources only.
#pragma once

#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/conv.h>

namespace perch::kernels {
namespace {

/// body(corner offset, place) for every tile of a walk and vector of channels: where the tile's
/// upper left pixel lies, and where the transformed tile's first value goes.
template <class Body>
inline void for_tiles(const TileWalk& walk, const Body& body) {
  for (std::int64_t t = 0; t < walk.count; ++t) {
    const std::int64_t row = (walk.first + t) / walk.tile_cols,
                       col = (walk.first + t) % walk.tile_cols;
    const std::int64_t corner = 2 * (row * walk.row + col * walk.col);
    for (std::int64_t c = 0; c < walk.channels; c += lanes) {
      body(corner + c, t * walk.channels + c, row, col);
    }
  }
}

/// B^T d B of 4x4 source pixels.
inline void winograd_source(const TileWalk& walk, const float* from, float* to) {
  const std::int64_t step = walk.step;
  for_tiles(walk, [&](std::int64_t corner, std::int64_t place, std::int64_t, std::int64_t) {
    Batch half[4][4];
    repeat<4>([&](int j) PERCH_INLINE {
      const float* const column = from + corner + j * walk.col;
      const Batch d0 = Batch::load_unaligned(column);
      const Batch d1 = Batch::load_unaligned(column + walk.row);
      const Batch d2 = Batch::load_unaligned(column + 2 * walk.row);
      const Batch d3 = Batch::load_unaligned(column + 3 * walk.row);
      half[0][j] = d0 - d2;
      half[1][j] = d1 + d2;
      half[2][j] = d2 - d1;
      half[3][j] = d1 - d3;
    });
    float* const out = to + place;
    repeat<4>([&](int i) PERCH_INLINE {
      (half[i][0] - half[i][2]).store_unaligned(out + (4 * i) * step);
      (half[i][1] + half[i][2]).store_unaligned(out + (4 * i + 1) * step);
      (half[i][2] - half[i][1]).store_unaligned(out + (4 * i + 2) * step);
      (half[i][1] - half[i][3]).store_unaligned(out + (4 * i + 3) * step);
    });
  });
}

/// A dy A^T of 2x2 gradients.
inline void winograd_gradient(const TileWalk& walk, const float* from, float* to) {
  const std::int64_t step = walk.step;
  for_tiles(walk, [&](std::int64_t corner, std::int64_t place, std::int64_t, std::int64_t) {
    Batch half[4][2];
    repeat<2>([&](int j) PERCH_INLINE {
      const float* const column = from + corner + j * walk.col;
      const Batch g0 = Batch::load_unaligned(column), g1 = Batch::load_unaligned(column + walk.row);
      half[0][j] = g0;
      half[1][j] = g0 + g1;
      half[2][j] = g0 - g1;
      half[3][j] = -g1;
    });
    float* const out = to + place;
    repeat<4>([&](int i) PERCH_INLINE {
      half[i][0].store_unaligned(out + (4 * i) * step);
      (half[i][0] + half[i][1]).store_unaligned(out + (4 * i + 1) * step);
      (half[i][0] - half[i][1]).store_unaligned(out + (4 * i + 2) * step);
      (-half[i][1]).store_unaligned(out + (4 * i + 3) * step);
    });
  });
}

/// A^T m A, plus bias, to the outputs of a tile that exist.
inline void winograd_result(const TileWalk& walk, const float* from, const float* bias,
                            std::int64_t rows, std::int64_t cols, float* to) {
  const std::int64_t step = walk.step;
  for_tiles(walk, [&](std::int64_t corner, std::int64_t place, std::int64_t row, std::int64_t col) {
    const float* const in = from + place;
    Batch half[2][4];
    repeat<4>([&](int j) PERCH_INLINE {
      const Batch m0 = Batch::load_unaligned(in + j * step);
      const Batch m1 = Batch::load_unaligned(in + (4 + j) * step);
      const Batch m2 = Batch::load_unaligned(in + (8 + j) * step);
      const Batch m3 = Batch::load_unaligned(in + (12 + j) * step);
      half[0][j] = m0 + m1 + m2;
      half[1][j] = m1 - m2 - m3;
    });
    const Batch start =
        bias == nullptr ? Batch(0.0f) : Batch::load_unaligned(bias + place % walk.channels);
    repeat<2>([&](int i) PERCH_INLINE {
      if (2 * row + i >= rows) return;
      float* const out = to + corner + i * walk.row;
      (start + half[i][0] + half[i][1] + half[i][2]).store_unaligned(out);
      if (2 * col + 1 < cols) {
        (start + half[i][1] - half[i][2] - half[i][3]).store_unaligned(out + walk.col);
      }
    });
  });
}

}  // namespace
}  // namespace perch::kernels
