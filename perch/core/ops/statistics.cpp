#include <algorithm>
#include <cmath>
#include <limits>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/statistics.h>
#include <perch/core/parallel.h>
#include <perch/core/storage.h>

namespace perch {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Floats of scratch memory per column: three rows of floats, two of doubles.
constexpr std::int64_t scratch_rows = 7;

}  // namespace

Statistics::Statistics(std::int64_t parts, std::int64_t channels, bool moments)
    : parts_(parts),
      channels_(channels),
      with_moments_(moments),
      layout_(0, channels),
      scratch_(Shape{thread_count(), scratch_rows * layout_.width()}),
      extremes_(Shape{parts, 2, channels}),
      moment_parts_(allocate_doubles(parts * 2 * channels)),
      counts_(allocate_doubles(parts)) {}

void Statistics::add(std::int64_t part, const float* x, std::int64_t count) {
  const std::int64_t width = layout_.width();
  auto* const sums =
      reinterpret_cast<double*>(scratch_.data() + worker_slot() * scratch_rows * width);
  double* const squares = sums + width;
  auto* const shift = reinterpret_cast<float*>(squares + width);
  float *const low = shift + width, *const high = low + width;
  std::fill_n(low, width, infinity);
  std::fill_n(high, width, -infinity);
  if (with_moments_) {
    std::fill_n(sums, 2 * width, 0.0);
    // Squares are taken around some value of the channel, so that they say something of its spread.
    layout_.widen(x, width, shift);
    kernels::active().tail.statistics(x, {low, high, shift, sums, squares}, count, width);
  } else if (!kernels::active().tail.extremes(x, low, high, count, width)) {
    finite_ = false;
  }

  float* const lowest = extremes_.data() + part * 2 * channels_;
  float* const highest = lowest + channels_;
  for (std::int64_t c = 0; c < channels_; ++c) {
    lowest[c] = low[c];
    highest[c] = high[c];
    for (std::int64_t i = c + channels_; i < width; i += channels_) {
      lowest[c] = std::min(lowest[c], low[i]);
      highest[c] = std::max(highest[c], high[i]);
    }
  }
  if (!with_moments_) return;
  double* const mean = moment_parts_.get() + part * 2 * channels_;
  double* const spread = mean + channels_;
  layout_.fold(sums, mean);
  layout_.fold(squares, spread);
  const auto number = static_cast<double>(count / channels_);
  counts_.get()[part] = number;
  for (std::int64_t c = 0; c < channels_; ++c) {
    spread[c] -= mean[c] * mean[c] / number;
    mean[c] = static_cast<double>(x[c]) + mean[c] / number;
  }
}

bool Statistics::finish() {
  low_ = Tensor::full({channels_}, infinity);
  high_ = Tensor::full({channels_}, -infinity);
  for (std::int64_t part = 0; part < parts_; ++part) {
    const float* const lowest = extremes_.data() + part * 2 * channels_;
    for (std::int64_t c = 0; c < channels_; ++c) {
      low_.data()[c] = std::min(low_.data()[c], lowest[c]);
      high_.data()[c] = std::max(high_.data()[c], lowest[channels_ + c]);
    }
  }
  if (!with_moments_) return finite_;
  moments_ = Moments::merged(moment_parts_.get(), counts_.get(), parts_, channels_);
  return std::all_of(moments_->mean(), moments_->mean() + channels_,
                     [](double mean) { return std::isfinite(mean); });
}

}  // namespace perch
