#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/code_moments.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>
#include <perch/fuse/tail.h>

namespace perch::fusion {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Elements that are mapped at once, between a load and a quantizer: they stay in the first cache.
constexpr std::int64_t piece_elements = 2048;

/// Puts a quantizer's range back unless told to keep what became of it.
class RangeGuard {
 public:
  explicit RangeGuard(RangeQuantizer* quantizer) : quantizer_(quantizer) {
    if (quantizer_ != nullptr) state_ = quantizer_->state();
  }
  ~RangeGuard() {
    if (quantizer_ != nullptr) quantizer_->restore(state_);
  }
  RangeGuard(const RangeGuard&) = delete;
  RangeGuard& operator=(const RangeGuard&) = delete;
  void keep() { quantizer_ = nullptr; }

 private:
  RangeQuantizer* quantizer_;
  RangeQuantizer::State state_{};
};

/// The range of all channels together. Adding 0 settles the sign of zeros, as range_of() does.
TensorRange range_over(const Tensor& low, const Tensor& high) {
  return {Tensor::scalar(*std::min_element(low.data(), low.data() + low.size()) + 0.0f),
          Tensor::scalar(*std::max_element(high.data(), high.data() + high.size()) + 0.0f)};
}

/// body(first, count, floats): the map's values, a piece at a time.
template <class Body>
void for_mapped_pieces(const Encoding& base, const ChannelMap& map, std::int64_t size,
                       const Body& body) {
  const ChannelLayout layout(size, map.channels);
  const std::int64_t piece =
      std::max<std::int64_t>(piece_elements / layout.width(), 1) * layout.width();
  Tensor scratch(Shape{thread_count(), piece});
  parallel_for(layout.chunks().number(), [&](std::int64_t i) {
    const ChunkRange range = layout.chunks()[i];
    float* const mapped = scratch.data() + worker_slot() * piece;
    for (std::int64_t first = range.begin; first < range.end; first += piece) {
      const std::int64_t count = std::min(piece, range.end - first);
      const kernels::TailMap tables = tables_at(map, first);
      kernels::active().tail.decode(elements_at(base, first), &tables, mapped, count, map.width);
      body(first, count, mapped);
    }
  });
}

std::shared_ptr<const Encoding> encode_outer(const Encoding& base, const ChannelMap& map,
                                             std::int64_t size, const Grid& grid) {
  const std::shared_ptr<std::uint8_t> codes = allocate_bytes(size);
  for_mapped_pieces(base, map, size, [&](std::int64_t first, std::int64_t count, float* mapped) {
    kernels::active().tail.encode(mapped, grid.args, grid.dividing, codes.get() + first, count);
  });
  auto result = std::make_shared<Encoding>();
  result->codes = codes;
  result->grid = grid.codes;
  return result;
}

/// Smallest and largest value behind the inner quantizer and the map: those of the sums' own
/// extremes, taken through the same arithmetic.
TensorRange mapped_range(const Statistics& statistics, const std::optional<Grid>& inner,
                         const ChannelMap& map) {
  const auto& tail = kernels::active().tail;
  const std::int64_t channels = map.channels;
  Tensor ends({2, channels});
  for (const auto& [row, sums] : {std::pair{0, statistics.low()}, {1, statistics.high()}}) {
    float* const to = ends.data() + row * channels;
    std::copy_n(sums.data(), channels, to);
    kernels::TailInput input{to, nullptr, 0.0f, 1.0f};
    const std::shared_ptr<std::uint8_t> codes = allocate_bytes(channels);
    if (inner) {
      tail.encode(to, inner->args, inner->dividing, codes.get(), channels);
      input = {nullptr, codes.get(), inner->args.zero_point, inner->args.scale};
    }
    const kernels::TailMap tables = tables_at(map, 0);
    tail.decode(input, &tables, to, channels, map.width);
  }
  return range_over(ends, ends);
}

/// Whether a map makes finite values of finite ones.
bool is_sound(const ChannelMap& map) {
  return all_finite(map.tables);
}

/// Smallest and largest code of each channel that the map takes through a gate: all of those
/// between do, as a map keeps or turns their order. [2, 2 width].
Tensor gate_of_codes(const Encoding& base, const ChannelMap& map, const Gate& gate) {
  const std::int64_t columns = 2 * map.width, channels = map.channels;
  Tensor result({2, columns});
  float *const low = result.data(), *const high = low + columns;
  std::fill_n(low, columns, 1.0f);  // none
  std::fill_n(high, columns, 0.0f);
  const std::shared_ptr<std::uint8_t> codes = allocate_bytes(channels);
  Tensor mapped({channels});
  const kernels::TailMap tables = tables_at(map, 0);
  kernels::TailInput input = elements_at(base, 0);
  input.codes = codes.get();
  for (int code = 0; code < 256; ++code) {
    std::fill_n(codes.get(), channels, static_cast<std::uint8_t>(code));
    kernels::TailMap open = tables;
    open.low = -infinity;
    open.high = infinity;
    kernels::active().tail.decode(input, &open, mapped.data(), channels, map.width);
    for (std::int64_t c = 0; c < channels; ++c) {
      const float value = mapped.data()[c];
      if (!(value >= gate.low && value <= gate.high)) continue;
      if (low[c] > high[c]) low[c] = static_cast<float>(code);
      high[c] = static_cast<float>(code);
    }
  }
  for (std::int64_t c = channels; c < columns; ++c) {
    low[c] = low[c - channels];
    high[c] = high[c - channels];
  }
  return result;
}

}  // namespace

std::optional<TailResult> run_tail(const Stages& stages, const Tensor& sums,
                                   const Statistics& statistics) {
  RangeGuard inner_guard(stages.inner), outer_guard(stages.outer);
  const std::int64_t channels = sums.shape()[-1];
  Tail tail;
  tail.shape = sums.shape();

  std::optional<Grid> inner, outer;
  std::optional<Moments> code_moments;
  const Moments* moments = statistics.moments();
  if (stages.inner != nullptr) {
    if (stages.inner_moves) {
      stages.inner->track(range_over(statistics.low(), statistics.high()));
    }
    inner = Grid::of(*stages.inner);
    if (!inner) return std::nullopt;
    Coded coded = encode(sums, inner->args, inner->dividing, stages.norm && stages.norm->training);
    auto base = std::make_shared<Encoding>();
    base->codes = std::move(coded.codes);
    base->grid = inner->codes;
    tail.base = std::move(base);
    tail.inside = std::move(coded.inside);
    code_moments = std::move(coded.moments);
    moments = code_moments ? &*code_moments : nullptr;
  } else {
    auto base = std::make_shared<Encoding>();
    base->values = sums.share();
    tail.base = std::move(base);
  }
  tail.normalisation = make_normalisation(stages, moments);
  tail.norm_training = stages.norm && stages.norm->training;
  tail.map = make_map(stages, channels, moments, tail.normalisation);
  if (!is_sound(*tail.map)) return std::nullopt;

  std::shared_ptr<const Encoding> output;
  if (stages.outer != nullptr) {
    if (stages.outer_moves) stages.outer->track(mapped_range(statistics, inner, *tail.map));
    outer = Grid::of(*stages.outer);
    if (!outer) return std::nullopt;
    output = encode_outer(*tail.base, *tail.map, sums.size(), *outer);
  } else if (stages.maps()) {
    auto mapped = std::make_shared<Encoding>();
    mapped->values = tail.base->values;
    mapped->codes = tail.base->codes;
    mapped->grid = tail.base->grid;
    mapped->map = tail.map;
    output = std::move(mapped);
  } else {
    output = tail.base;
  }
  tail.gate = Gate(stages.low, stages.high, outer);
  if (tail.base->codes != nullptr) {
    tail.code_gate = gate_of_codes(*tail.base, *tail.map, tail.gate);
  }
  if (tail.norm_training) {
    moments->move(*stages.norm->moving_mean, *stages.norm->moving_variance, sums.size() / channels,
                  stages.norm->momentum);
  }
  inner_guard.keep();
  outer_guard.keep();
  return TailResult{Tensor::encoded(sums.shape(), std::move(output)), std::move(tail)};
}

TailInference::TailInference(const Stages& stages, const Shape& shape) : shape_(shape) {
  if (stages.maps()) {
    map_ = make_map(stages, shape[-1], nullptr, make_normalisation(stages, nullptr));
  }
}

std::optional<TailInference> TailInference::of(const Stages& stages, const Shape& shape,
                                               std::int64_t part) {
  TailInference result(stages, shape);
  if (result.map_ != nullptr && !is_sound(*result.map_)) return std::nullopt;
  for (const auto& [quantizer, grid] :
       {std::pair{stages.inner, &result.inner_}, std::pair{stages.outer, &result.outer_}}) {
    if (quantizer == nullptr) continue;
    *grid = Grid::of(*quantizer);
    if (!*grid) return std::nullopt;
  }
  if (result.outer_ || (result.inner_ && !result.map_)) {
    result.codes_ = allocate_bytes(shape.size());
  } else {
    result.values_ = Tensor(shape);
  }
  if (result.inner_) result.scratch_ = Tensor(Shape{thread_count(), (part + 3) / 4});
  return result;
}

void TailInference::add(std::int64_t first, float* sums, std::int64_t count) {
  const auto& tail = kernels::active().tail;
  kernels::TailInput input{sums, nullptr, 0.0f, 1.0f};
  if (codes_ != nullptr && !std::isfinite(kernels::active().elementwise.sum(sums, count))) {
    *finite_ = false;
  }
  if (inner_) {
    auto* const codes = codes_ != nullptr && !outer_
                            ? codes_.get() + first
                            : reinterpret_cast<std::uint8_t*>(scratch_.data() +
                                                              worker_slot() * scratch_.shape()[1]);
    tail.encode(sums, inner_->args, inner_->dividing, codes, count);
    input = {nullptr, codes, inner_->args.zero_point, inner_->args.scale};
  }
  float* const mapped = codes_ == nullptr ? values_.data() + first : sums;
  if (map_ != nullptr || (outer_ && inner_)) {
    const kernels::TailMap tables = map_ ? tables_at(*map_, first) : kernels::TailMap{};
    tail.decode(input, map_ ? &tables : nullptr, mapped, count, map_ ? map_->width : count);
  } else if (codes_ == nullptr) {
    std::copy_n(sums, count, mapped);
  }
  if (outer_) tail.encode(mapped, outer_->args, outer_->dividing, codes_.get() + first, count);
}

Tensor TailInference::output() const {
  if (codes_ == nullptr) return values_;
  auto encoding = std::make_shared<Encoding>();
  encoding->codes = codes_;
  encoding->grid = outer_ ? outer_->codes : inner_->codes;
  return Tensor::encoded(shape_, std::move(encoding));
}

}  // namespace perch::fusion
