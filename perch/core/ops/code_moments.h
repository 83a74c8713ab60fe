// 8-bit codes of a tensor, and the moments of what they stand for, which are exact. For sources
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <perch/core/encoding.h>
#include <perch/core/kernels/quantize.h>
#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/moments.h>

namespace perch {

/// A per-tensor grid as the kernels take it, for floats that lie on it already: their codes are a
/// rounding away.
kernels::GridArgs settled_grid(const CodeGrid& grid);

struct Coded {
  std::shared_ptr<std::uint8_t> codes;
  /// Bit i % 16 of word i / 16: whether element i lies in the grid's range. One word more than
  /// that.
  std::shared_ptr<std::uint16_t> inside;
  std::optional<Moments> moments;  ///< per channel, of codes less zero point, times scale
};

/// Codes of x [..., C]. `dividing` as in kernels/quantize.h.
Coded encode(const Tensor& x, const kernels::GridArgs& grid, bool dividing, bool with_moments);

/// Of the channels of x [..., C], which `layout` describes; of its codes where it has them.
Moments batch_moments(const ChannelLayout& layout, const Tensor& x);

}  // namespace perch
