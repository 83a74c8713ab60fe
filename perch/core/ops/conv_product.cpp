#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv_product.h>
#include <perch/core/ops/conv_winograd.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/core/parallel.h>
#include <perch/core/profile.h>

namespace perch::conv {
namespace {

// A unit's padded source should stay in the first cache.
constexpr std::int64_t unit_elements = 8192;

Tensor pack_kernel(const Job& job, const Tensor& kernel, const KernelLayout& layout) {
  const auto& table = kernels::active().conv;
  const std::int64_t filters = job.dst_group();
  const std::int64_t padded = round_up(filters, table.lanes);
  const std::int64_t block = job.depthwise() ? padded : table.filter_block * table.lanes;
  Tensor packed(Shape{job.group_count() * job.terms() * padded});
  float* to = packed.data();
  for (std::int64_t g = 0; g < job.group_count(); ++g) {
    for (std::int64_t first = 0; first < padded; first += block) {
      const std::int64_t width = std::min(block, padded - first);
      const std::int64_t valid = std::min(width, filters - first);
      for (std::int64_t i = 0; i < job.rows.taps; ++i) {
        for (std::int64_t j = 0; j < job.cols.taps; ++j) {
          const std::int64_t tap =
              (job.rows.kernel_first + i * job.rows.kernel_step) * layout.width +
              job.cols.kernel_first + j * job.cols.kernel_step;
          for (std::int64_t c = 0; c < job.src_group(); ++c, to += width) {
            const float* const from = kernel.data() + tap * layout.tap + c * layout.src +
                                      first * layout.dst + g * layout.group;
            for (std::int64_t f = 0; f < valid; ++f) to[f] = from[f * layout.dst];
            std::fill(to + valid, to + width, 0.0f);
          }
        }
      }
    }
  }
  return packed;
}

}  // namespace

Tensor spread_filters(const Job& job, const Tensor& values) {
  if (values.empty()) return {};
  const std::int64_t filters = job.dst_group();
  const std::int64_t padded = round_up(filters, kernels::active().conv.lanes);
  Tensor spread = Tensor::zeros(Shape{job.group_count() * padded});
  for (std::int64_t g = 0; g < job.group_count(); ++g) {
    std::copy_n(values.data() + g * filters, filters, spread.data() + g * padded);
  }
  return spread;
}

FloatKernel::FloatKernel(const Job& job, const Tensor& kernel, const KernelLayout& layout,
                         const Tensor& bias_values, const Tensor& scale_values)
    : winograd(suits_winograd(job)),
      weights(winograd ? winograd_weights(job, kernel, layout) : pack_kernel(job, kernel, layout)),
      bias(spread_filters(job, bias_values)),
      scale(spread_filters(job, scale_values)) {}

void count_products(const Job& job) {
  const double outputs = static_cast<double>(job.batch * job.rows.count * job.cols.count) *
                         static_cast<double>(job.dst.channels);
  count_work(2.0 * outputs * static_cast<double>(job.terms()), 0.0);
}

ChunkRange with_whole_tiles(const Job& job, ChunkRange destinations) {
  if (!suits_winograd(job)) return destinations;
  return {destinations.begin, destinations.begin + whole_tiles(destinations.size())};
}

std::int64_t work_floats(const Job& job) {
  return suits_winograd(job) ? winograd_floats(job) : 0;
}

BandShape source_band(const Job& job, const Unit& unit, std::int64_t lanes) {
  const std::int64_t channels = job.src.channels * job.repeat;
  return {.images = unit.images,
          .rows = job.rows.source(with_whole_tiles(job, unit.rows)),
          .cols = job.cols.source(with_whole_tiles(job, {0, job.cols.count})),
          .channels = job.src.channels,
          .repeat = job.repeat,
          .channels_padded = job.depthwise() ? round_up(channels, lanes) : channels,
          .overread = 0};
}

kernels::WindowWalk window_walk(const Job& job, const Unit& unit, const BandSteps& band,
                                std::int64_t run) {
  kernels::WindowWalk walk{};
  walk.images = unit.images.size();
  walk.rows = unit.rows.size();
  walk.cols = job.cols.count;
  walk.in_image = band.image;
  walk.in_row = job.rows.src_step * band.row;
  walk.in_col = job.cols.src_step * band.col;
  walk.tap_rows = job.rows.taps;
  walk.tap_cols = job.cols.taps;
  walk.run = run;
  walk.in_tap_row = job.rows.tap_step * band.row;
  walk.in_tap_col = job.cols.tap_step * band.col;
  if (job.groups == 1 && walk.in_tap_col == walk.run) {  // a row of taps is one run
    walk.run *= walk.tap_cols;
    walk.tap_cols = 1;
  }
  walk.out_image = job.dst.image();
  walk.out_row = job.rows.dst_step * job.dst.row();
  walk.out_col = job.cols.dst_step * job.dst.channels;
  return walk;
}

void multiply_unit(const Job& job, const Unit& unit, const Band<float>& band,
                   const FloatKernel& kernel, float* work, float* out) {
  if (kernel.winograd) {
    return multiply_winograd(job, unit, band, kernel.weights,
                             kernel.bias.empty() ? nullptr : kernel.bias.data(), work, out);
  }
  const auto& table = kernels::active().conv;
  const std::int64_t groups = job.group_count(), filters = job.dst_group();
  const std::int64_t padded = round_up(filters, table.lanes);
  kernels::WindowProduct task{};
  task.walk = window_walk(job, unit, {band.image, band.row, band.col}, job.src_group());
  task.filters = filters;
  for (std::int64_t g = 0; g < groups; ++g) {
    task.input = band.data + g * job.src_group();
    task.weights = kernel.weights.data() + g * (kernel.weights.size() / groups);
    task.bias = kernel.bias.empty() ? nullptr : kernel.bias.data() + g * padded;
    task.scale = kernel.scale.empty() ? nullptr : kernel.scale.data() + g * padded;
    task.output = out + g * filters;
    (job.depthwise() ? table.depthwise_forward : table.forward)(task);
  }
}

Product::Product(const Problem& problem, const Tensor& x, const Tensor& kernel, const Tensor& bias)
    : job_(problem.forward()), units_(job_, unit_elements), x_(x) {
  const KernelLayout layout = problem.kernel_layout(false);
  if (integer_forward()) integer_ = IntegerKernel::of(job_, x, kernel, layout, bias);
  if (!integer_) {
    float_.emplace(job_, kernel, layout, bias);
  } else if (job_.depthwise()) {
    float_.emplace(job_, integer_->levels, layout, bias, integer_->scale);
  }
}

void Product::run(const Destination& destination) const {
  if (units_.number() == 0) return;
  count_products(job_);
  const std::int64_t lanes = kernels::active().conv.lanes;
  const bool integer = integer_ && !job_.depthwise();
  const TensorSource values(x_);
  const LevelSource levels(x_);
  const Source<float> source = integer_ ? Source<float>(levels) : Source<float>(values);
  const std::int64_t band = integer ? integer_scratch(job_, units_[0]).floats()
                                    : round_up(source_band(job_, units_[0], lanes).elements(), 16);
  const std::int64_t line = integer ? 0 : line_elements(job_.src);
  const std::int64_t work = integer ? 0 : work_floats(job_);
  const std::int64_t part = destination.all == nullptr ? units_.elements(job_) : 0;
  Scratch scratch(band + line + work + part);
  parallel_for(units_.number(), [&](std::int64_t i) {
    const Unit unit = units_[i];
    float* const mine = scratch.mine();
    const std::int64_t first =
        unit.images.begin * job_.dst.image() + unit.rows.begin * job_.dst.row();
    float* const out =
        destination.all == nullptr ? mine + band + line + work : destination.all + first;
    if (integer) {
      multiply_integer_unit(job_, unit, x_, *integer_, mine, out);
    } else {
      multiply_unit(job_, unit,
                    read_band(source, job_.src, source_band(job_, unit, lanes), mine, mine + band),
                    *float_, mine + band + line, out);
    }
    if (destination.finish) {
      destination.finish(i, first, unit.images.size() * unit.rows.size() * job_.dst.row(), out);
    }
  });
}

}  // namespace perch::conv
