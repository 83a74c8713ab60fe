#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include <perch/analyze/measures.h>
#include <perch/core/parallel.h>
#include <perch/quant/range_rows.h>

namespace perch {
namespace {

constexpr std::int64_t piece_size = 16384;

std::size_t level_count(const std::vector<QuantGrid>& grids, const QuantSpec& spec) {
  for (const QuantGrid& grid : grids) {
    if (grid.zero_range) continue;
    const double steps = (double{grid.nudged_max} - double{grid.nudged_min}) / double{grid.scale};
    return static_cast<std::size_t>(std::lround(steps)) + 1;
  }
  return (std::size_t{1} << spec.bits) - (spec.narrow_range ? 1 : 0);
}

}  // namespace

void Fidelity::add(const Tensor& x, const Tensor& y) {
  const std::span<const float> xs = x.values(), ys = y.values();
  const Chunks chunks(x.size(), piece_size);
  std::vector<Fidelity> parts(static_cast<std::size_t>(chunks.number()));
  parallel_for(chunks.number(), [&](std::int64_t i) {
    const ChunkRange chunk = chunks[i];
    Fidelity part;
    for (auto at = static_cast<std::size_t>(chunk.begin); at < static_cast<std::size_t>(chunk.end);
         ++at) {
      part.add(double{xs[at]}, double{ys[at]});
    }
    parts[static_cast<std::size_t>(i)] = part;
  });
  for (const Fidelity& part : parts) *this += part;
}

Fidelity& Fidelity::operator+=(const Fidelity& other) {
  signal_ += other.signal_;
  noise_ += other.noise_;
  product_ += other.product_;
  power_ += other.power_;
  return *this;
}

double Fidelity::sqnr_db() const {
  if (noise_ == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal_ / noise_);
}

double Fidelity::cosine() const {
  if (signal_ == 0.0 && power_ == 0.0) return 1.0;
  if (signal_ == 0.0 || power_ == 0.0) return 0.0;
  return product_ / (std::sqrt(signal_) * std::sqrt(power_));
}

GridUse::GridUse(const Quantizer& quantizer, std::vector<int> channels)
    : quantizer_(quantizer), channels_(std::move(channels)) {
  if (quantizer.mode.share == 1.0f) grids_ = quantizer.grids();
  ranges_.resize(std::max<std::size_t>(grids_.size(), 1));
  if (!grids_.empty()) taken_.resize(level_count(grids_, quantizer.spec()), 0);
}

GridUse::Rows GridUse::rows_of(const Tensor& seen, const Tensor& made) const {
  if (ranges_.size() == 1) {
    const Shape row{1, seen.size()};
    return {seen.reshape(row), made.reshape(row)};
  }
  const Granularity& granularity = quantizer_.spec().granularity;
  return {range_rows(seen, granularity, channels_), range_rows(made, granularity, channels_)};
}

GridUse::OfRange GridUse::measure(const float* seen, const float* made, std::int64_t size,
                                  std::size_t range) {
  OfRange result{.values = size};
  if (grids_.empty()) {
    for (std::int64_t i = 0; i < size; ++i) {
      result.fidelity.add(double{seen[i]}, double{made[i]});
    }
    return result;
  }
  const QuantGrid& grid = grids_[range];
  const double lowest = double{grid.nudged_min}, step = double{grid.scale};
  const double highest_level = static_cast<double>(taken_.size() - 1);
  std::vector<std::int64_t> taken(taken_.size(), 0);
  for (std::int64_t i = 0; i < size; ++i) {
    const double x = double{seen[i]}, y = double{made[i]};
    result.fidelity.add(x, y);
    result.clipped += is_clipped(seen[i], grid) ? 1 : 0;
    if (grid.zero_range || !std::isfinite(y)) continue;
    const double level = std::clamp(std::round((y - lowest) / step), 0.0, highest_level);
    taken[static_cast<std::size_t>(level)] += 1;
  }
  // Chunks share the levels; whole numbers add up to the same in any order.
  for (std::size_t level = 0; level < taken.size(); ++level) {
    if (taken[level] == 0) continue;
    std::atomic_ref(taken_[level]).fetch_add(taken[level], std::memory_order_relaxed);
  }
  return result;
}

void GridUse::add(const Tensor& seen, const Tensor& made) {
  const Rows rows = rows_of(seen, made);
  const std::int64_t size = rows.seen.shape()[1];
  const Chunks pieces(size, piece_size);
  const std::int64_t per_row = pieces.number();
  std::vector<OfRange> parts(ranges_.size() * static_cast<std::size_t>(per_row));
  const float* const from = rows.seen.data();
  const float* const to = rows.made.data();
  parallel_for(static_cast<std::int64_t>(parts.size()), [&](std::int64_t i) {
    const std::int64_t row = i / per_row;
    const ChunkRange piece = pieces[i % per_row];
    const std::int64_t at = row * size + piece.begin;
    parts[static_cast<std::size_t>(i)] =
        measure(from + at, to + at, piece.size(), static_cast<std::size_t>(row));
  });
  for (std::size_t i = 0; i < parts.size(); ++i) {
    OfRange& range = ranges_[i / static_cast<std::size_t>(per_row)];
    range.fidelity += parts[i].fidelity;
    range.values += parts[i].values;
    range.clipped += parts[i].clipped;
  }
}

Fidelity GridUse::fidelity() const {
  Fidelity all;
  for (const OfRange& range : ranges_) all += range.fidelity;
  return all;
}

std::int64_t GridUse::values() const {
  std::int64_t all = 0;
  for (const OfRange& range : ranges_) all += range.values;
  return all;
}

std::optional<std::int64_t> GridUse::clipped() const {
  if (grids_.empty()) return std::nullopt;
  std::int64_t all = 0;
  for (const OfRange& range : ranges_) all += range.clipped;
  return all;
}

std::optional<std::int64_t> GridUse::unused_levels() const {
  if (grids_.empty()) return std::nullopt;
  const auto taken = std::ranges::count_if(taken_, [](std::int64_t n) { return n > 0; });
  // A grid of the range (0, 0) has but the level 0.
  return static_cast<std::int64_t>(taken_.size()) - std::max<std::int64_t>(taken, 1);
}

}  // namespace perch
