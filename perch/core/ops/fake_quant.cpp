#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/encoding.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/grid_args.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>

namespace perch {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Long beside the start of a task, and so many elements that partial sums are few.
constexpr std::int64_t chunk_elements = 1 << 15;

struct Segment {
  std::int64_t begin, size;
  std::int64_t entry;  // of the table: the first (or only) element's range
};

// Which range every element of a tensor belongs to: the tensor as `runs` contiguous runs of
// `length` elements. With period 0 a run has one range; else the ranges repeat along a run with
// that period. Cut into chunks that hold at least as many elements as the table has entries, so
// that one table per chunk for partial results never takes more memory than the tensor.
class Layout {
 public:
  Layout(const Shape& shape, const std::vector<int>& axes) : per_tensor_(axes.empty()) {
    std::array<bool, Shape::max_rank> kept{};
    for (const int axis : axes) {
      PERCH_CHECK(axis < shape.rank() && axis >= -shape.rank(),
                  "fake_quant: axis {} does not exist in shape {}", axis, shape.to_string());
      bool& keep = kept[static_cast<std::size_t>(shape.normalise(axis))];
      PERCH_CHECK(!keep, "fake_quant: axis {} is named twice", axis);
      keep = true;
    }
    // Neighbouring axes of the same sort are one; the last of these groups is the run.
    std::array<bool, Shape::max_rank> group_kept{};
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const bool keep = kept[static_cast<std::size_t>(axis)];
      if (shape[axis] == 1) continue;
      if (groups_ == 0 || group_kept[groups_ - 1] != keep) {
        group_kept[groups_] = keep;
        group_[groups_++] = {1, 0};
      }
      group_[groups_ - 1].extent *= shape[axis];
    }
    for (std::size_t g = groups_; g-- > 0;) {
      if (!group_kept[g]) continue;
      group_[g].stride = ranges_;
      ranges_ *= group_[g].extent;
    }
    const bool ranges_inside = groups_ > 0 && group_kept[groups_ - 1];
    if (groups_ > 0) length_ = group_[--groups_].extent;
    runs_ = length_ == 0 ? 0 : shape.size() / length_;
    entries_ = ranges_;
    if (ranges_inside) choose_period();
    choose_chunks();
  }

  bool per_tensor() const { return per_tensor_; }
  std::int64_t ranges() const { return ranges_; }
  std::int64_t period() const { return period_; }
  /// Table entries: entry i is that of range i % ranges().
  std::int64_t entries() const { return entries_; }
  std::int64_t chunks() const { return chunks_; }

  template <class F>
  void for_segments(std::int64_t chunk, const F& f) const {
    if (pieces_ > 1) {
      const std::int64_t run = chunk / pieces_, offset = chunk % pieces_ * piece_;
      f(Segment{run * length_ + offset, std::min(piece_, length_ - offset), first_range(run)});
      return;
    }
    const std::int64_t end = std::min((chunk + 1) * runs_per_chunk_, runs_);
    for (std::int64_t run = chunk * runs_per_chunk_; run < end; ++run) {
      f(Segment{run * length_, length_, first_range(run)});
    }
  }

 private:
  struct Group {
    std::int64_t extent, stride;  // stride: in ranges, 0 where the ranges are shared
  };

  void choose_period() {
    period_ = length_;
    if (ranges_ != length_) return;
    // Nothing but the run selects the range: all runs are one, and short periods are repeated
    // until whole vectors fit, and enough of them to keep the loop over periods cheap.
    length_ *= std::exchange(runs_, 1);
    groups_ = 0;
    if (period_ < 256) period_ = std::lcm(period_, std::int64_t{16});
    if (period_ < 128) period_ *= 128 / period_;
    entries_ = period_;
  }

  void choose_chunks() {
    piece_ = std::max(chunk_elements, entries_);
    if (period_ > 0) piece_ = (piece_ + period_ - 1) / period_ * period_;
    pieces_ = length_ > piece_ ? (length_ + piece_ - 1) / piece_ : 1;
    runs_per_chunk_ = length_ > 0 ? std::max<std::int64_t>(piece_ / length_, 1) : 1;
    chunks_ = pieces_ > 1 ? runs_ * pieces_ : (runs_ + runs_per_chunk_ - 1) / runs_per_chunk_;
  }

  std::int64_t first_range(std::int64_t run) const {
    std::int64_t range = 0;
    for (std::size_t g = groups_; g-- > 0;) {
      range += run % group_[g].extent * group_[g].stride;
      run /= group_[g].extent;
    }
    return range;
  }

  bool per_tensor_;
  std::array<Group, Shape::max_rank> group_{};  // without the run itself
  std::size_t groups_ = 0;
  std::int64_t ranges_ = 1, runs_ = 1, length_ = 1, period_ = 0, entries_ = 1;
  std::int64_t piece_ = 1, pieces_ = 1, runs_per_chunk_ = 1, chunks_ = 1;
};

// The grids of all ranges as seven rows of `entries` values.
class Grids {
 public:
  Grids(const Layout& layout, const Tensor& min, const Tensor& max, const FakeQuantOptions& options)
      : bits_(options.bits), entries_(layout.entries()), rows_({7, layout.entries()}) {
    float* const rows = rows_.data();
    const FlushDenormals guard;
    for (std::int64_t i = 0; i < entries_; ++i) {
      const std::int64_t range = i % layout.ranges();
      const QuantGrid grid =
          QuantGrid::of(min.data()[range], max.data()[range], options.bits, options.narrow_range);
      const bool zero = grid.zero_range && !options.constant_range;
      rows[i] = zero ? -infinity : grid.nudged_min;
      rows[entries_ + i] = zero ? infinity : grid.nudged_max;
      rows[2 * entries_ + i] = grid.scale;
      rows[3 * entries_ + i] = grid.inverse_scale;
      rows[4 * entries_ + i] = std::floor(-grid.nudged_min * grid.inverse_scale + 0.5f);
      rows[5 * entries_ + i] = zero ? 1.0f : 0.0f;
      rows[6 * entries_ + i] = grid.zero_point;
    }
  }

  kernels::GridTable from(std::int64_t entry) const {
    const float* const row = rows_.data() + entry;
    return {row,
            row + entries_,
            row + 2 * entries_,
            row + 3 * entries_,
            row + 4 * entries_,
            row + 5 * entries_};
  }
  kernels::GridArgs at(std::int64_t entry) const {
    const kernels::GridTable t = from(entry);
    return {*t.nudged_min,        *t.nudged_max, *t.scale,
            *t.inverse_scale,     *t.quant_zero, t.nudged_min[6 * entries_],
            rounding_doubt(bits_)};
  }
  bool zero_range(std::int64_t entry) const { return *from(entry).zero_range != 0.0f; }

 private:
  int bits_;
  std::int64_t entries_;
  Tensor rows_;
};

Tensor forward(const Tensor& x, const Layout& layout, const Grids& grids, bool dividing) {
  const kernels::QuantizeKernels& kernel = kernels::active().quantize;
  Tensor y(x.shape());
  const float* const in = x.data();
  float* const out = y.data();
  parallel_for(layout.chunks(), [&](std::int64_t chunk) {
    layout.for_segments(chunk, [&](const Segment& s) {
      if (layout.period() > 0) {
        kernel.forward_periodic(in + s.begin, out + s.begin, s.size, layout.period(),
                                grids.from(s.entry));
      } else if (grids.zero_range(s.entry)) {
        std::fill_n(out + s.begin, s.size, 0.0f);
      } else {
        (dividing ? kernel.forward_dividing : kernel.forward_multiplying)(
            in + s.begin, out + s.begin, s.size, grids.at(s.entry));
      }
    });
  });
  return y;
}

// dx in dy's elements when nobody else holds them.
Tensor backward(const Tensor& x, Tensor dy, const Layout& layout, const Grids& grids) {
  const kernels::QuantizeKernels& kernel = kernels::active().quantize;
  Tensor dx = dy.unique() ? dy : Tensor(x.shape());
  const float *const in = x.data(), *const slope = std::as_const(dy).data();
  float* const out = dx.data();
  parallel_for(layout.chunks(), [&](std::int64_t chunk) {
    layout.for_segments(chunk, [&](const Segment& s) {
      if (layout.period() > 0) {
        kernel.backward_periodic(in + s.begin, slope + s.begin, out + s.begin, s.size,
                                 layout.period(), grids.from(s.entry));
      } else if (grids.zero_range(s.entry)) {
        if (out != slope) std::copy_n(slope + s.begin, s.size, out + s.begin);
      } else {
        const kernels::GridArgs grid = grids.at(s.entry);
        kernel.backward(in + s.begin, slope + s.begin, out + s.begin, s.size, grid.nudged_min,
                        grid.nudged_max);
      }
    });
  });
  return dx;
}

struct Gradients {
  Tensor dx, dmin, dmax;
};

Gradients backward_with_sums(const Tensor& x, Tensor dy, const Layout& layout, const Grids& grids) {
  const kernels::QuantizeKernels& kernel = kernels::active().quantize;
  const std::int64_t entries = layout.entries(), ranges = layout.ranges();
  Tensor partial = Tensor::zeros({layout.chunks(), 2, entries});
  Gradients result{dy.unique() ? dy : Tensor(x.shape()), Tensor({ranges}), Tensor({ranges})};
  const float *const in = x.data(), *const slope = std::as_const(dy).data();
  float *const out = result.dx.data(), *const sums = partial.data();
  parallel_for(layout.chunks(), [&](std::int64_t chunk) {
    float *const below = sums + chunk * 2 * entries, *const above = below + entries;
    layout.for_segments(chunk, [&](const Segment& s) {
      if (layout.period() > 0) {
        kernel.backward_sums_periodic(in + s.begin, slope + s.begin, out + s.begin, s.size,
                                      layout.period(), grids.from(s.entry), below + s.entry,
                                      above + s.entry);
      } else if (grids.zero_range(s.entry)) {
        if (out != slope) std::copy_n(slope + s.begin, s.size, out + s.begin);
      } else {
        const kernels::GridArgs grid = grids.at(s.entry);
        kernel.backward_sums(in + s.begin, slope + s.begin, out + s.begin, s.size, grid.nudged_min,
                             grid.nudged_max, below + s.entry, above + s.entry);
      }
    });
  });
  for (std::int64_t range = 0; range < ranges; ++range) {
    double below = 0.0, above = 0.0;
    for (std::int64_t chunk = 0; chunk < layout.chunks(); ++chunk) {
      for (std::int64_t i = range; i < entries; i += ranges) {
        below += sums[chunk * 2 * entries + i];
        above += sums[(chunk * 2 + 1) * entries + i];
      }
    }
    result.dmin.data()[range] = static_cast<float>(below);
    result.dmax.data()[range] = static_cast<float>(above);
  }
  return result;
}

// The grid of a result, for those who compute with its codes; none where an element has no code.
std::shared_ptr<const CodeGrid> grid_of(const Tensor& y, const Layout& layout, const Tensor& min,
                                        const Tensor& max, const FakeQuantOptions& options) {
  if (options.bits > 8 || y.size() == 0) return nullptr;
  auto result = std::make_shared<CodeGrid>();
  result->bits = options.bits;
  result->scale = Tensor({layout.ranges()});
  result->zero_point = Tensor({layout.ranges()});
  for (std::int64_t i = 0; i < layout.ranges(); ++i) {
    const QuantGrid grid =
        QuantGrid::of(min.data()[i], max.data()[i], options.bits, options.narrow_range);
    const bool zero = grid.zero_range && !options.constant_range;
    if (!zero && !grid_args(grid, options.bits, options.narrow_range)) return nullptr;
    result->scale.data()[i] = zero ? 0.0f : grid.scale;
    result->zero_point.data()[i] = zero ? 0.0f : grid.zero_point;
  }
  if (!all_finite(y)) return nullptr;
  for (const int axis : options.axes) result->axes.push_back(y.shape().normalise(axis));
  std::sort(result->axes.begin(), result->axes.end());
  return result;
}

}  // namespace

QuantGrid QuantGrid::of(float min, float max, int bits, bool narrow_range) {
  PERCH_CHECK(bits >= 1 && bits <= 16, "fake_quant: {} bits; it takes 1 to 16", bits);
  PERCH_CHECK(bits > 1 || !narrow_range, "fake_quant: a narrow range of 1 bit has one level");
  const FlushDenormals guard;
  const float q_min = narrow_range ? 1.0f : 0.0f;
  const float q_max = static_cast<float>((1 << bits) - 1);
  if (min == 0.0f && max == 0.0f) return {.zero_range = true};
  QuantGrid grid{};
  grid.scale = (max - min) / (q_max - q_min);
  grid.inverse_scale = (q_max - q_min) / (max - min);
  const float zero = q_min - min / grid.scale;
  grid.zero_point = !(zero >= q_min) ? q_min : zero > q_max ? q_max : std::round(zero);
  grid.nudged_min = (q_min - grid.zero_point) * grid.scale;
  grid.nudged_max = (q_max - grid.zero_point) * grid.scale;
  return grid;
}

Variable fake_quant(const Variable& x, const Variable& min, const Variable& max,
                    const FakeQuantOptions& options) {
  PERCH_CHECK(options.bits >= 1 && options.bits <= 16, "fake_quant: {} bits; it takes 1 to 16",
              options.bits);
  const Layout layout(x.shape(), options.axes);
  PERCH_CHECK(min.value().size() == layout.ranges() && max.value().size() == layout.ranges(),
              "fake_quant: min of shape {} and max of shape {} do not hold the {} ranges of shape "
              "{} along axes {}",
              min.shape().to_string(), max.shape().to_string(), layout.ranges(),
              x.shape().to_string(), options.axes);
  Grids grids(layout, min.value(), max.value(), options);
  const bool dividing = layout.per_tensor() && !options.constant_range;
  Tensor y = forward(x.value(), layout, grids, dividing);
  if (auto grid = grid_of(y, layout, min.value(), max.value(), options)) {
    y.set_grid(std::move(grid));
  }
  const bool sums = min.requires_grad() || max.requires_grad();
  auto gradient = [value = x.value(), min_shape = min.shape(), max_shape = max.shape(), layout,
                   grids, sums](Tensor dy) -> std::vector<Tensor> {
    if (!sums) return {backward(value, std::move(dy), layout, grids), {}, {}};
    Gradients all = backward_with_sums(value, std::move(dy), layout, grids);
    return {std::move(all.dx), all.dmin.reshape(min_shape), all.dmax.reshape(max_shape)};
  };
  return Variable::from_op("fake_quant", std::move(y), {x, min, max}, std::move(gradient));
}

TensorRange range_of(const Tensor& x, const std::vector<int>& axes) {
  PERCH_CHECK(x.size() > 0, "range_of: shape {} has no elements", x.shape().to_string());
  const kernels::QuantizeKernels& kernel = kernels::active().quantize;
  const Layout layout(x.shape(), axes);
  const std::int64_t entries = layout.entries(), ranges = layout.ranges();
  Tensor partial({layout.chunks(), 2, entries});
  const float* const in = x.data();
  float* const found = partial.data();
  parallel_for(layout.chunks(), [&](std::int64_t chunk) {
    float *const low = found + chunk * 2 * entries, *const high = low + entries;
    std::fill_n(low, entries, infinity);
    std::fill_n(high, entries, -infinity);
    layout.for_segments(chunk, [&](const Segment& s) {
      if (layout.period() > 0) {
        kernel.widen_periodic(in + s.begin, s.size, layout.period(), low + s.entry, high + s.entry);
      } else {
        kernel.widen(in + s.begin, s.size, low + s.entry, high + s.entry);
      }
    });
  });
  const Shape shape = axes.empty() ? Shape{} : Shape{ranges};
  TensorRange result{Tensor(shape), Tensor(shape)};
  const FlushDenormals guard;
  for (std::int64_t range = 0; range < ranges; ++range) {
    float low = infinity, high = -infinity;
    for (std::int64_t chunk = 0; chunk < layout.chunks(); ++chunk) {
      for (std::int64_t i = range; i < entries; i += ranges) {
        low = std::min(low, found[chunk * 2 * entries + i]);
        high = std::max(high, found[(chunk * 2 + 1) * entries + i]);
      }
    }
    // Adding 0 settles the sign of zeros, which else would depend on the order of comparisons.
    result.min.data()[range] = low + 0.0f;
    result.max.data()[range] = high + 0.0f;
  }
  return result;
}

}  // namespace perch
