#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/slice_parts.h>
#include <perch/core/ops/step_quant.h>
#include <perch/core/reduce.h>

namespace perch {
namespace {

/// A tensor in rows of one grid each.
struct Grids {
  SliceParts rows;
  Tensor step, offset, low, high;

  kernels::StepArgs args(std::size_t row) const {
    return {step.data()[row], offset.empty() ? 0.0f : offset.data()[row], low.data()[row],
            high.data()[row]};
  }
  bool dead(std::size_t row) const { return !(step.data()[row] > 0.0f); }
};

Tensor forward(const Tensor& rows, const Grids& grids, const StepQuantOptions& options) {
  const kernels::StepKernels& kernel = kernels::active().step;
  Tensor result(rows.shape());
  const float* const x = rows.data();
  float* const y = result.data();
  grids.rows.for_parts([&](std::int64_t part) {
    const ChunkRange range = grids.rows.elements(part);
    const std::size_t row = grids.rows.row(part);
    const float* const from = x + range.begin;
    float* const to = y + range.begin;
    if (grids.dead(row)) {
      std::fill_n(to, range.size(), 0.0f);
    } else if (options.rounding == Rounding::half_even) {
      kernel.half_even(from, to, range.size(), grids.args(row));
    } else if (options.rounding == Rounding::stochastic && options.random) {
      std::array<float, SliceParts::part_elements> noise;
      options.random->fill_uniform({noise.data(), static_cast<std::size_t>(range.size())},
                                   static_cast<std::uint64_t>(range.begin));
      kernel.noisy(from, noise.data(), to, range.size(), grids.args(row));
    } else {
      kernel.half_up(from, to, range.size(), grids.args(row));
    }
  });
  return result;
}

struct Gradients {
  Tensor dx, dstep, doffset;
};

Gradients backward(const Tensor& rows, const Tensor& levels, const Tensor& slopes,
                   const Grids& grids, const StepQuantOptions& options) {
  const kernels::StepKernels& kernel = kernels::active().step;
  Gradients result{Tensor(rows.shape()), Tensor(grids.step.shape()), Tensor(grids.step.shape())};
  std::vector<kernels::StepSums> sums(static_cast<std::size_t>(grids.rows.parts()));
  const float *const x = rows.data(), *const y = levels.data(), *const dy = slopes.data();
  float* const dx = result.dx.data();
  grids.rows.for_parts([&](std::int64_t part) {
    const ChunkRange range = grids.rows.elements(part);
    const std::size_t row = grids.rows.row(part);
    const std::int64_t first = range.begin;
    if (grids.dead(row)) {
      std::copy_n(dy + first, range.size(), dx + first);
    } else if (options.rounding == Rounding::half_even) {
      kernel.backward_half_even(x + first, dy + first, dx + first, range.size(), grids.args(row));
    } else {
      kernel.backward(x + first, y + first, dy + first, dx + first, range.size(), grids.args(row),
                      &sums[static_cast<std::size_t>(part)]);
    }
  });
  struct Total {
    double inside = 0, below = 0, above = 0;
  };
  std::vector<Total> totals(grids.rows.count());
  for (std::int64_t i = 0; i < grids.rows.parts(); ++i) {
    const kernels::StepSums& part = sums[static_cast<std::size_t>(i)];
    Total& total = totals[grids.rows.row(i)];
    total.inside += double{part.inside};
    total.below += double{part.below};
    total.above += double{part.above};
  }
  for (std::size_t row = 0; row < totals.size(); ++row) {
    const auto& [inside, below, above] = totals[row];
    const kernels::StepArgs args = grids.args(row);
    result.dstep.data()[row] =
        static_cast<float>(inside + below * double{args.low} + above * double{args.high});
    result.doffset.data()[row] = static_cast<float>(below + above);
  }
  return result;
}

}  // namespace

Variable step_quant(const Variable& x, const Variable& step, const Variable& offset,
                    const Tensor& low, const Tensor& high, const StepQuantOptions& options) {
  const bool has_offset = offset.defined();
  const Grids grids{SliceParts(x.shape(), options.axes), step.value(),
                    has_offset ? offset.value() : Tensor(), low, high};
  const Slices& slices = grids.rows.slices();
  const std::int64_t count = slices.count();
  for (const Tensor& table : {grids.step, grids.low, grids.high}) {
    PERCH_CHECK(table.size() == count, "step_quant: {} values for {} grids of shape {}",
                table.size(), count, x.shape().to_string());
  }
  PERCH_CHECK(!has_offset || grids.offset.size() == count,
              "step_quant: {} offsets for {} grids of shape {}", grids.offset.size(), count,
              x.shape().to_string());
  PERCH_CHECK(options.rounding != Rounding::half_even ||
                  !(step.requires_grad() || (has_offset && offset.requires_grad())),
              "step_quant: half_even trains no step; take half_up");
  const Tensor rows = slices.gather(x.value());
  const Tensor levels = forward(rows, grids, options);
  std::vector<Variable> inputs{x, step};
  if (has_offset) inputs.push_back(offset);
  return Variable::from_op(
      "step_quant", slices.scatter(levels), std::move(inputs),
      [grids, rows, levels, options, has_offset](Tensor dy) -> std::vector<Tensor> {
        const Slices& sorted = grids.rows.slices();
        Gradients found = backward(rows, levels, sorted.gather(dy), grids, options);
        std::vector<Tensor> result{sorted.scatter(found.dx), std::move(found.dstep)};
        if (has_offset) result.push_back(std::move(found.doffset));
        return result;
      });
}

Variable scale_gradient(const Variable& x, float factor) {
  return Variable::from_op("scale_gradient", x.value(), {x},
                           [factor](Tensor dy) -> std::vector<Tensor> {
                             Tensor dx = reuse_or_allocate(dy);
                             const float* const from = std::as_const(dy).data();
                             float* const to = dx.data();
                             for (std::int64_t i = 0; i < dy.size(); ++i) to[i] = from[i] * factor;
                             return {std::move(dx)};
                           });
}

}  // namespace perch
