#include <algorithm>
#include <cmath>

#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/grid_args.h>
#include <perch/fuse/stages.h>

namespace perch::fusion {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

}  // namespace

std::optional<Grid> Grid::of(const RangeQuantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  const QuantGrid grid =
      QuantGrid::of(quantizer.min().item(), quantizer.max().item(), spec.bits, spec.narrow_range);
  const auto args = grid_args(grid, spec.bits, spec.narrow_range);
  if (!args) return std::nullopt;
  auto codes = std::make_shared<CodeGrid>();
  codes->bits = spec.bits;
  codes->scale = Tensor::scalar(grid.scale);
  codes->zero_point = Tensor::scalar(grid.zero_point);
  return Grid{*args, !std::holds_alternative<Fixed>(spec.range), std::move(codes)};
}

std::optional<Normalisation> make_normalisation(const Stages& stages, const Moments* moments) {
  if (!stages.norm) return std::nullopt;
  const NormStage& norm = *stages.norm;
  const Tensor gamma = norm.gamma.defined() ? norm.gamma.value() : Tensor();
  return Normalisation(
      norm.training ? *moments : Moments::of(*norm.moving_mean, *norm.moving_variance), gamma,
      norm.epsilon);
}

std::shared_ptr<const ChannelMap> make_map(const Stages& stages, std::int64_t channels,
                                           const Moments* moments,
                                           const std::optional<Normalisation>& normalisation) {
  const ChannelLayout layout(0, channels);
  const std::int64_t columns = 2 * layout.width();
  auto map = std::make_shared<ChannelMap>();
  map->channels = channels;
  map->width = layout.width();
  map->low = stages.low;
  map->high = stages.high;
  map->tables = Tensor({3, columns});
  float* const shift = map->tables.data();
  float *const factor = shift + columns, *const offset = factor + columns;
  if (!stages.norm) {
    // x + -0 is x, also when x is -0.
    std::fill_n(shift, columns, 0.0f);
    std::fill_n(factor, columns, 1.0f);
    std::fill_n(offset, columns, -0.0f);
    return map;
  }
  const NormStage& norm = *stages.norm;
  if (norm.training) {
    layout.widen(moments->mean(), columns, shift);
  } else {
    layout.widen(norm.moving_mean->data(), columns, shift);
  }
  layout.widen(normalisation->scale.get(), columns, factor);
  if (norm.beta.defined()) {
    layout.widen(norm.beta.value().data(), columns, offset);
  } else {
    std::fill_n(offset, columns, 0.0f);
  }
  return map;
}

Gate::Gate(float lowest, float highest, const std::optional<Grid>& outer)
    : low(lowest), high(highest) {
  // Kernels see denormals as 0, so that the next number above 0 is the smallest normal one.
  if (std::isfinite(low)) {
    low = low == 0.0f ? std::numeric_limits<float>::min() : std::nextafter(low, infinity);
  }
  if (std::isfinite(high)) high = std::nextafter(high, -infinity);
  if (!outer) return;
  low = std::max(low, outer->args.nudged_min);
  high = std::min(high, outer->args.nudged_max);
}

bool Gate::open() const {
  return low == -infinity && high == infinity;
}

kernels::TailMap tables_at(const ChannelMap& map, std::int64_t first) {
  const float* const tables = map.tables.data() + first % map.channels;
  const std::int64_t stride = 2 * map.width;
  return {tables, tables + stride, tables + 2 * stride, map.low, map.high};
}

kernels::TailInput elements_at(const Encoding& base, std::int64_t first) {
  if (base.codes == nullptr) return {base.values.get() + first, nullptr, 0.0f, 1.0f};
  return {nullptr, base.codes.get() + first, base.grid->zero_point.item(), base.grid->scale.item()};
}

}  // namespace perch::fusion
