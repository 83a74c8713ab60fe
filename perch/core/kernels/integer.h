// Function table of the integer products: windows over 8-bit codes, summed exactly in 32 bits.
// The same bits on every instruction set.
#pragma once

#include <cstdint>

#include <perch/core/kernels/conv.h>

namespace perch::kernels {

/// How codes and weights are laid out for a kernel, `terms` neighbouring ones together in 32 bits.
struct IntegerLayout {
  /// 4: codes as they are in unsigned bytes, weights' codes less 128 in signed ones.
  /// 2: codes less their zero point and weights' levels, in 16 bits each.
  int terms;
  std::int64_t lanes;  ///< filters per vector
};

/// output[position][f] = sum scale[f] + bias[f], where sum is over all terms of input * weights,
/// plus constant[f], plus window_factor[f] times the window's sum of inputs. The walk's steps and
/// its run are in units of 32 bits. Weights as in WindowProduct, [run][filters rounded up][terms].
struct IntegerProduct {
  WindowWalk walk;
  const std::int32_t* input;
  const std::int32_t* weights;
  const std::int32_t* constant;
  const std::int32_t* window_factor;  ///< null: none
  const std::int32_t* window_sums;  ///< of each position in the walk's order; null with the former
  const float *scale, *bias;
  float* output;
  std::int64_t filters;
};

/// What window_sums are made of: a band of `images` x band_rows x band_cols pixels of `words`
/// 32-bit words of bytes each, `pitch` words apart, and the windows over it, in pixels.
struct WindowSums {
  const std::int32_t* input;
  std::int64_t images, band_rows, band_cols, words;
  std::int64_t in_image, in_row, pitch;  ///< in words
  std::int64_t rows, cols, row_step, col_step;
  std::int64_t tap_rows, tap_cols, tap_row_step, tap_col_step;
  std::int32_t* pixels;  ///< scratch: band_rows * band_cols
  std::int32_t* sums;    ///< images * rows * cols
};

struct IntegerKernels {
  IntegerLayout layout;
  bool faster;  ///< than the float kernels of the same instruction set
  void (*forward)(const IntegerProduct&);
  void (*window_sums)(const WindowSums&);  ///< null where no weight needs them
};

}  // namespace perch::kernels
