#include <numeric>

#include <perch/core/ops/conv_walk.h>

namespace perch::conv {
namespace {

// Below this many positions, reading the weights would dominate.
constexpr std::int64_t least_positions = 64;

std::int64_t rows_per_unit(const Job& job, std::int64_t source_elements) {
  const std::int64_t row =
      job.cols.reach(job.cols.count) * job.src.channels * job.repeat * job.rows.src_step;
  const std::int64_t rows =
      std::max(source_elements / std::max<std::int64_t>(row, 1),
               (least_positions + job.cols.count - 1) / std::max<std::int64_t>(job.cols.count, 1));
  // Of even size where there are more: tiles of two rows fit then.
  return rows >= job.rows.count ? job.rows.count : std::max<std::int64_t>(rows / 2 * 2, 1);
}

}  // namespace

AxisWalk forward_walk(const AxisWindow& window) {
  return {.count = window.out,
          .dst_step = 1,
          .dst_first = 0,
          .src_step = window.stride,
          .src_first = -window.pad,
          .taps = window.kernel,
          .tap_step = window.dilation,
          .kernel_first = 0,
          .kernel_step = 1};
}

AxisWalk gradient_walk(const AxisWindow& window, std::int64_t phase) {
  // Input i takes part in output (i + pad - k dilation) / stride for the k that make it whole.
  const std::int64_t common = std::gcd(window.dilation, window.stride);
  const std::int64_t every = window.stride / common;
  const std::int64_t position = phase + window.pad;
  std::int64_t k = 0;
  while (k < std::min(every, window.kernel) &&
         (position - k * window.dilation) % window.stride != 0) {
    ++k;
  }
  const bool none = k >= std::min(every, window.kernel);
  const std::int64_t taps = none ? 0 : (window.kernel - 1 - k) / every + 1;
  const std::int64_t last = k + (taps - 1) * every;
  return {.count = (window.in - phase + window.stride - 1) / window.stride,
          .dst_step = window.stride,
          .dst_first = phase,
          .src_step = 1,
          .src_first = none ? 0 : (position - last * window.dilation) / window.stride,
          .taps = taps,
          .tap_step = window.dilation / common,
          .kernel_first = last,
          .kernel_step = -every};
}

AxisWindow Problem::rows() const {
  const WindowGeometry& g = geometry;
  return {g.in_height,     g.out_height,      g.kernel_height,
          g.stride_height, g.dilation_height, g.pad_top};
}

AxisWindow Problem::cols() const {
  const WindowGeometry& g = geometry;
  return {g.in_width, g.out_width, g.kernel_width, g.stride_width, g.dilation_width, g.pad_left};
}

Job Problem::forward() const {
  const WindowGeometry& g = geometry;
  return {.rows = forward_walk(rows()),
          .cols = forward_walk(cols()),
          .batch = g.batch,
          .src = {g.in_height, g.in_width, g.channels},
          .dst = {g.out_height, g.out_width, filters},
          .groups = groups,
          .repeat = multiplier()};
}

Job Problem::input_gradient(std::int64_t row_phase, std::int64_t col_phase) const {
  const WindowGeometry& g = geometry;
  return {.rows = gradient_walk(rows(), row_phase),
          .cols = gradient_walk(cols(), col_phase),
          .batch = g.batch,
          .src = {g.out_height, g.out_width, filters},
          .dst = {g.in_height, g.in_width, g.channels * multiplier()},
          .groups = groups,
          .repeat = 1};
}

KernelLayout Problem::kernel_layout(bool backward) const {
  if (depthwise()) {
    return {.width = geometry.kernel_width, .tap = filters, .src = 0, .dst = 1, .group = 0};
  }
  return {.width = geometry.kernel_width,
          .tap = geometry.channels / groups * filters,
          .src = backward ? 1 : filters,
          .dst = backward ? filters : 1,
          .group = filters / groups};
}

Units::Units(const Job& job, std::int64_t source_elements)
    : images_(job.batch, 1), rows_(job.rows.count, rows_per_unit(job, source_elements)) {
  if (rows_.number() != 1) return;
  const std::int64_t positions = job.rows.count * job.cols.count;
  const std::int64_t image = job.rows.reach(job.rows.count) * job.cols.reach(job.cols.count) *
                             job.src.channels * job.repeat;
  images_ = Chunks(job.batch, std::max((least_positions + positions - 1) / positions,
                                       source_elements / std::max<std::int64_t>(image, 1)));
}

}  // namespace perch::conv
