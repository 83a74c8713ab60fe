#include <algorithm>
#include <utility>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/code_moments.h>
#include <perch/core/ops/statistics.h>
#include <perch/core/parallel.h>
#include <perch/core/storage.h>

namespace perch {
namespace {

/// From sums of codes to moments of what they stand for.
Moments moments_of_codes(const double* partial, std::int64_t parts, std::int64_t channels,
                         std::int64_t count, double zero_point, double scale) {
  Moments result(channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0.0, square = 0.0;  // whole numbers below 2^53: exact
    for (std::int64_t i = 0; i < parts; ++i) {
      sum += partial[i * 2 * channels + c];
      square += partial[(i * 2 + 1) * channels + c];
    }
    const double mean = sum / static_cast<double>(count);
    result.mean()[c] = (mean - zero_point) * scale;
    result.variance()[c] = (square / static_cast<double>(count) - mean * mean) * scale * scale;
  }
  return result;
}

}  // namespace

kernels::GridArgs settled_grid(const CodeGrid& grid) {
  const float scale = grid.scale.item(), zero = grid.zero_point.item();
  const auto last = static_cast<float>((1 << grid.bits) - 1);
  return {-zero * scale, (last - zero) * scale, scale, 1.0f / scale, zero, zero, 0.0f};
}

Coded encode(const Tensor& x, const kernels::GridArgs& grid, bool dividing, bool with_moments) {
  const std::int64_t channels = x.shape()[-1];
  const ChannelLayout layout(x.size(), channels);
  const Chunks& chunks = layout.chunks();
  const std::shared_ptr<std::uint8_t> codes = allocate_bytes(x.size());
  // One word more than there are: readers take two at a time.
  const std::int64_t words = (x.size() + 15) / 16 + 1;
  const std::shared_ptr<std::uint8_t> bits = allocate_bytes(2 * words);
  std::fill_n(bits.get() + 2 * (words - 1), 2, std::uint8_t{0});
  const std::shared_ptr<std::uint16_t> inside(bits, reinterpret_cast<std::uint16_t*>(bits.get()));
  const auto partial = allocate_doubles(with_moments ? chunks.number() * 2 * channels : 1);
  Tensor scratch(Shape{thread_count(), 4 * layout.width()});
  parallel_for(chunks.number(), [&](std::int64_t i) {
    const ChunkRange range = chunks[i];
    kernels::CodeSums to{};
    if (with_moments) {
      to.sums = reinterpret_cast<double*>(scratch.data() + worker_slot() * 4 * layout.width());
      to.squares = to.sums + layout.width();
      std::fill_n(to.sums, 2 * layout.width(), 0.0);
    }
    kernels::active().tail.encode_and_sum(
        std::as_const(x).data() + range.begin, grid, dividing, codes.get() + range.begin,
        inside.get() + range.begin / 16, to, range.size(), layout.width());
    if (with_moments) {
      layout.fold(to.sums, partial.get() + i * 2 * channels);
      layout.fold(to.squares, partial.get() + (i * 2 + 1) * channels);
    }
  });
  Coded result{codes, inside, std::nullopt};
  if (with_moments) {
    result.moments = moments_of_codes(partial.get(), chunks.number(), channels, x.size() / channels,
                                      grid.zero_point, grid.scale);
  }
  return result;
}

Moments batch_moments(const ChannelLayout& layout, const Tensor& x) {
  const CodeGrid* const grid = x.grid();
  if (grid != nullptr && grid->axes.empty() && grid->scale.item() > 0.0f) {
    constexpr bool dividing = false, with_moments = true;
    return *encode(x, settled_grid(*grid), dividing, with_moments).moments;
  }
  const Chunks& chunks = layout.chunks();
  constexpr bool with_moments = true;
  Statistics statistics(chunks.number(), layout.channels(), with_moments);
  parallel_for(chunks.number(), [&](std::int64_t i) {
    statistics.add(i, x.data() + chunks[i].begin, chunks[i].size());
  });
  statistics.finish();
  return *statistics.moments();
}

}  // namespace perch
