// Winograd's F(2x2, 3x3) around the kernels for 1x1 products: fewer multiplications where channels
// are many enough to pay for the transforms. Private to the convolutions.
#pragma once

#include <cstdint>

#include <perch/core/ops/conv_band.h>
#include <perch/core/ops/conv_walk.h>
#include <perch/core/tensor.h>

namespace perch::conv {

/// Products per tile of four outputs.
inline constexpr std::int64_t winograd_points = 16;

/// 3x3, stride and dilation 1, one group, and whole vectors of enough channels on both sides.
bool suits_winograd(const Job& job);

/// Rows or columns that bands must hold so that the last tile is whole.
inline std::int64_t whole_tiles(std::int64_t outputs) {
  return round_up(outputs, 2);
}

/// G g G^T of each filter, [16] packed as 1x1 kernels are.
Tensor winograd_weights(const Job& job, const Tensor& kernel, const KernelLayout& layout);

/// Floats of scratch memory that the two below take.
std::int64_t winograd_floats(const Job& job);

/// A unit's outputs. The band reaches over whole tiles.
void multiply_winograd(const Job& job, const Unit& unit, const Band<float>& band,
                       const Tensor& weights, const float* bias, float* scratch, float* out);

/// Adds a unit's part to sums [16][source channels][destination channels]. Both bands reach over
/// whole tiles, dy's with zeros behind the unit's last row and column.
void gather_winograd(const Job& job, const Unit& unit, const Band<float>& x, const Band<float>& dy,
                     float* scratch, float* sums);

/// From those sums to the kernel's gradient, [9][source channels][destination channels].
Tensor winograd_kernel_gradient(const Job& job, const float* sums);

}  // namespace perch::conv
