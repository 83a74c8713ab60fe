// Function table of the convolution kernels: direct products over windows of NHWC images,
// vectorised along output channels. All strides and counts are in floats.
#pragma once

#include <cstdint>

namespace perch::kernels {

/// How windows slide over a source: images x rows x cols positions, each with tap_rows x tap_cols
/// taps of `run` neighbouring source floats. No tap may leave the source: pad it first.
struct WindowWalk {
  std::int64_t images, rows, cols;
  std::int64_t in_image, in_row, in_col;     ///< source step from one position to the next
  std::int64_t out_image, out_row, out_col;  ///< the same in the destination
  std::int64_t tap_rows, tap_cols, run;
  std::int64_t in_tap_row, in_tap_col;  ///< source step from one tap to the next
};

/// output[position][f] = bias[f] + sum over terms of input * weights.
/// conv: weights in blocks of filter_block * lanes filters (the last one narrower, but a multiple
/// of lanes), each block [terms][block]. Depthwise: [taps][filters rounded up to lanes], `run` is 1
/// and input has that many channels at each tap.
struct WindowProduct {
  WindowWalk walk;
  const float* input;
  const float* weights;
  const float* bias;  ///< rounded up to lanes; null: zeros
  float* output;
  std::int64_t filters;
  /// Depthwise: sums are multiplied with it before the bias is added; null: they are not.
  const float* scale;
};

/// sums[term][f] += sum over positions of input * gradient. `filters` is a multiple of lanes, and
/// gradient is readable that far at each position. Depthwise as above: sums [taps][filters].
struct WindowGradient {
  WindowWalk walk;
  const float* input;
  const float* gradient;
  float* sums;
  std::int64_t filters;
};

/// Tiles of 2x2 outputs, counted row by row: `count` of them from `first` on, in an image of
/// `tile_cols` per row. Steps are from one pixel to the next; channels are a multiple of lanes.
struct TileWalk {
  std::int64_t first, count, tile_cols;
  std::int64_t row, col;
  std::int64_t channels;
  std::int64_t step;  ///< from one of the 16 transformed values to the next
};

struct ConvKernels {
  std::int64_t lanes;
  std::int64_t filter_block;  ///< vectors of output channels per block of packed weights
  void (*forward)(const WindowProduct&);
  void (*weight_gradient)(const WindowGradient&);
  void (*depthwise_forward)(const WindowProduct&);
  void (*depthwise_weight_gradient)(const WindowGradient&);
  /// sums[f] += sum over positions of gradient; reads neither input nor taps.
  void (*column_sums)(const WindowGradient&);

  // Winograd's transforms, from or to 16 times [count][channels].
  /// Of source pixels; `from` is the one that the first tile's window starts at.
  void (*winograd_source)(const TileWalk&, const float* from, float* to);
  /// Of output gradients.
  void (*winograd_gradient)(const TileWalk&, const float* from, float* to);
  /// To outputs, as far as these are among rows x cols; bias [channels] may be null.
  void (*winograd_result)(const TileWalk&, const float* from, const float* bias, std::int64_t rows,
                          std::int64_t cols, float* to);
};

}  // namespace perch::kernels
