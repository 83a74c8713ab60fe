// The view that kernels take of per-channel work on [..., C]: rows of a width that whole vectors
// fill whatever C is, as each row holds all channels a whole number of times. For sources only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <perch/core/kernels/norm.h>
#include <perch/core/parallel.h>
#include <perch/core/tensor.h>

namespace perch {

class ChannelLayout {
 public:
  ChannelLayout(std::int64_t elements, std::int64_t channels)
      : channels_(channels), width_(std::lcm(channels, kernels::norm_alignment)) {
    while (width_ < 64) width_ *= 2;  // several vectors, so that sums do not wait for one another
    const std::int64_t rows = 16384 / width_;
    chunks_ = Chunks(elements, std::max<std::int64_t>(rows, 1) * width_);
  }

  std::int64_t channels() const { return channels_; }
  std::int64_t width() const { return width_; }
  const Chunks& chunks() const { return chunks_; }

  /// One value per column from one per channel.
  template <class T>
  Tensor widen(const T* of_channels) const {
    Tensor wide(Shape{width_});
    widen(of_channels, width_, wide.data());
    return wide;
  }
  template <class T>
  void widen(const T* of_channels, std::int64_t columns, float* to) const {
    for (std::int64_t i = 0; i < columns; ++i) {
      to[i] = static_cast<float>(of_channels[i % channels_]);
    }
  }
  /// Adds the columns of each channel.
  void fold(const double* wide, double* of_channels) const {
    std::fill_n(of_channels, channels_, 0.0);
    for (std::int64_t i = 0; i < width_; i += channels_) {
      for (std::int64_t c = 0; c < channels_; ++c) of_channels[c] += wide[i + c];
    }
  }

 private:
  std::int64_t channels_, width_;
  Chunks chunks_{0, 1};
};

/// x times one factor per column, into `to`, which may be x.
Tensor scale_columns(const ChannelLayout& layout, const Tensor& x, const Tensor& factors,
                     Tensor to);

}  // namespace perch
