#include <algorithm>
#include <cmath>

#include <perch/core/check.h>
#include <perch/core/ops/slices.h>
#include <perch/quant/element_grids.h>

namespace perch {
namespace {

/// A number for each range, put where the range's elements are.
template <class Value>
Tensor spread(const Slices& slices, const Shape& shape, const std::vector<QuantGrid>& grids,
              const Value& value) {
  Tensor rows({slices.count(), slices.size()});
  for (std::int64_t i = 0; i < slices.count(); ++i) {
    std::fill_n(rows.data() + i * slices.size(), slices.size(),
                value(grids[static_cast<std::size_t>(i)]));
  }
  return slices.scatter(rows).reshape(shape);
}

}  // namespace

ElementGrids ElementGrids::of(const Shape& shape, const Quantizer& quantizer,
                              const std::vector<int>& channel_axes) {
  const Granularity& granularity = quantizer.spec().granularity;
  const RangeAxes axes = range_axes(granularity, shape, channel_axes);
  const Slices slices(axes.cut ? Shape(axes.cut_extents(shape, granularity.group_size)) : shape,
                      axes.axes);
  const std::vector<QuantGrid> grids = quantizer.grids();
  PERCH_CHECK(static_cast<std::int64_t>(grids.size()) == slices.count(),
              "element_grids: a {} quantizer has {} grids for {} ranges; its levels are not evenly "
              "spaced, or it has seen no value yet",
              policy_name(quantizer.spec().range), grids.size(), slices.count());
  return {.base = spread(slices, shape, grids, [](const QuantGrid& g) { return g.nudged_min; }),
          .step = spread(slices, shape, grids, [](const QuantGrid& g) { return g.scale; }),
          .top = spread(slices, shape, grids, [](const QuantGrid& g) {
            return g.scale > 0.0f ? std::round((g.nudged_max - g.nudged_min) / g.scale) : 0.0f;
          })};
}

}  // namespace perch
