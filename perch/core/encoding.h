// Encoding: what stands behind a tensor's elements when they are not, or not only, floats. A tensor
// that comes out of a quantizer lies on a grid and may be kept as its codes; one that comes out of
// a batch normalisation may be kept as what went in, with the map that is still to be applied.
// Consumers that can use these forms do; the others see floats, which are computed on first demand.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <perch/core/tensor.h>

namespace perch {

/// element = (code - zero_point) scale with codes in [0, 2^bits), bits at most 8. One scale and
/// zero point for all, or one per combination of `axes` (not negative) in row-major order.
struct CodeGrid {
  int bits;
  std::vector<int> axes;
  Tensor scale, zero_point;
};

/// Per channel, which is the last axis: (x - shift) factor + offset, limited to [low, high].
struct ChannelMap {
  std::int64_t channels;
  std::int64_t width;  ///< whole rows of all channels that fill whole vectors; see channel_layout.h
  Tensor tables;       ///< [3, 2 width]: shift, factor, offset, so that a row may start anywhere
  float low, high;
};

/// For tensors without floats, codes or values are set.
struct Encoding {
  std::shared_ptr<const std::uint8_t> codes;  ///< of the grid, which is one for all
  std::shared_ptr<const float> values;
  std::shared_ptr<const ChannelMap> map;  ///< of the two above; null: they are the elements
  std::shared_ptr<const CodeGrid> grid;

  /// Elements [first, first + count) as floats.
  void read(std::int64_t first, std::int64_t count, float* to) const;
  /// All `count` elements, kept from the first call on. Thread-safe.
  std::shared_ptr<float> floats(std::int64_t count) const;

 private:
  mutable std::mutex mutex_;
  mutable std::shared_ptr<float> floats_;
};

}  // namespace perch
