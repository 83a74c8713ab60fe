// The products of convolutions, unit by unit: in float, or exactly from integer codes. Private to
// the convolutions and to what is fused around them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <perch/core/function_ref.h>
#include <perch/core/kernels/conv.h>
#include <perch/core/ops/conv_band.h>
#include <perch/core/ops/conv_integer.h>
#include <perch/core/ops/conv_walk.h>

namespace perch::conv {

/// Told of each finished unit, while it is in the cache: its number, its first element in the
/// destination, how many there are, and where. Units come from any thread.
using Finish = FunctionRef<void(std::int64_t, std::int64_t, std::int64_t, float*)>;

struct Destination {
  float* all = nullptr;  ///< null: a unit's elements are in scratch memory, for `finish` alone
  Finish finish = {};    ///< may be empty; only where a job's units are contiguous (dst_step 1)
};

/// Weights in the order that the float kernels take, or Winograd's, with bias ([channels] or empty)
/// and scale (depthwise only: see WindowProduct) spread over whole vectors of each group.
struct FloatKernel {
  FloatKernel(const Job& job, const Tensor& kernel, const KernelLayout& layout,
              const Tensor& bias = {}, const Tensor& scale = {});
  bool winograd;
  Tensor weights, bias, scale;
};

/// One value per filter, each group's filters rounded up to whole vectors; empty stays empty.
Tensor spread_filters(const Job& job, const Tensor& values);

/// Multiplies the destinations `unit` of a job, whose sources `band` holds. `out` is the unit's
/// first destination; `work` holds work_floats().
void multiply_unit(const Job& job, const Unit& unit, const Band<float>& band,
                   const FloatKernel& kernel, float* work, float* out);
std::int64_t work_floats(const Job& job);
/// The sources of a unit's destinations; of whole tiles where the job suits Winograd.
BandShape source_band(const Job& job, const Unit& unit, std::int64_t lanes);
/// The destinations that this takes into account.
ChunkRange with_whole_tiles(const Job& job, ChunkRange destinations);

/// From one image, row and pixel of a band to the next.
struct BandSteps {
  std::int64_t image, row, col;
};
/// The walk of one unit's windows over a band, whose taps are `run` long.
kernels::WindowWalk window_walk(const Job& job, const Unit& unit, const BandSteps& band,
                                std::int64_t run);

/// Credits the products of a job to the profile: those of the definition, whatever way is taken.
void count_products(const Job& job);

/// The forward product of a convolution.
class Product {
 public:
  /// x [N, H, W, C] and kernel must outlive it. Formed from integers where both lie on grids of at
  /// most 8 bits that allow it and integer_forward() says so.
  Product(const Problem& problem, const Tensor& x, const Tensor& kernel, const Tensor& bias);

  bool is_integer() const { return integer_.has_value(); }
  std::int64_t units() const { return units_.number(); }
  /// Elements that `finish` is told of at once, at most.
  std::int64_t largest_unit() const { return units_.elements(job_); }
  void run(const Destination& destination) const;

 private:
  Job job_;
  Units units_;
  const Tensor& x_;
  std::optional<IntegerKernel> integer_;
  std::optional<FloatKernel> float_;
};

}  // namespace perch::conv
