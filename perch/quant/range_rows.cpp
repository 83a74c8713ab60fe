#include <perch/core/ops/slices.h>
#include <perch/quant/range_rows.h>

namespace perch {

Tensor range_rows(const Tensor& x, const Granularity& granularity,
                  const std::vector<int>& channels) {
  const RangeAxes axes = range_axes(granularity, x.shape(), channels);
  Shape shape = x.shape();
  if (axes.cut) shape = Shape(axes.cut_extents(shape, granularity.group_size));
  return Slices(shape, axes.axes).gather(x.reshape(shape));
}

}  // namespace perch
