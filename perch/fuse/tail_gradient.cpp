#include <algorithm>
#include <limits>
#include <utility>

#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>
#include <perch/fuse/tail_gradient.h>

namespace perch::fusion {
namespace {

/// What gates the gradient of elements from `first` on; no tables for what lies behind the gate.
kernels::TailGradient gate_at(const Tail& tail, std::int64_t first) {
  const kernels::TailMap map = tables_at(*tail.map, first);
  kernels::TailGradient result{};
  result.shift = map.shift;
  result.low = tail.gate.low;
  result.high = tail.gate.high;
  result.factor = map.factor;
  result.map_offset = map.offset;
  if (!tail.code_gate.empty()) {
    result.code_low = tail.code_gate.data() + first % tail.map->channels;
    result.code_high = result.code_low + 2 * tail.map->width;
  }
  return result;
}

/// Sums of g and of g (x - mean) per channel: [2, channels].
std::shared_ptr<double> gradient_sums(const Tail& tail, const float* dy) {
  const std::int64_t channels = tail.map->channels, size = tail.shape.size();
  const ChannelLayout layout(size, channels);
  const Chunks& chunks = layout.chunks();
  const auto partial = allocate_doubles(chunks.number() * 2 * channels);
  Tensor scratch(Shape{thread_count(), 4 * layout.width()});
  parallel_for(chunks.number(), [&](std::int64_t i) {
    const ChunkRange range = chunks[i];
    auto* const values =
        reinterpret_cast<double*>(scratch.data() + worker_slot() * 4 * layout.width());
    double* const products = values + layout.width();
    std::fill_n(values, 2 * layout.width(), 0.0);
    kernels::active().tail_gradient.sums(elements_at(*tail.base, range.begin),
                                         gate_at(tail, range.begin), dy + range.begin, values,
                                         products, range.size(), layout.width());
    layout.fold(values, partial.get() + i * 2 * channels);
    layout.fold(products, partial.get() + (i * 2 + 1) * channels);
  });
  const auto total = allocate_doubles(2 * channels);
  std::fill_n(total.get(), 2 * channels, 0.0);
  for (std::int64_t i = 0; i < chunks.number(); ++i) {
    std::transform(total.get(), total.get() + 2 * channels, partial.get() + i * 2 * channels,
                   total.get(), std::plus<>());
  }
  return total;
}

}  // namespace

// With n values per channel, s1 = sum g, s2 = sum g (x - mean) and d the inverse deviation:
// dbeta = s1, dgamma = s2 d, and in training dx = gamma d (g - s1 / n - (x - mean) s2 d^2 / n);
// else only its first term.
TailGradient::TailGradient(const Tail& tail, const Tensor& dy, bool gamma_wanted, bool beta_wanted)
    : tail_(tail),
      dy_(dy.data()),
      plain_(!tail.normalisation && tail.gate.open() && tail.inside == nullptr) {
  if (!tail.normalisation) return;
  const std::int64_t channels = tail.map->channels;
  const double* const inverse = tail.normalisation->inverse_deviation.get();
  const ChannelLayout layout(0, channels);
  const std::int64_t columns = 2 * layout.width();
  tables_ = Tensor::zeros({3, columns});
  layout.widen(tail.normalisation->scale.get(), columns, tables_.data() + 2 * columns);
  if (!tail.norm_training && !gamma_wanted && !beta_wanted) return;

  const std::shared_ptr<double> sums = gradient_sums(tail, dy_);
  double *const values = sums.get(), *const products = values + channels;
  if (gamma_wanted) {
    gamma = Tensor({channels});
    for (std::int64_t c = 0; c < channels; ++c) {
      gamma.data()[c] = static_cast<float>(products[c] * inverse[c]);
    }
  }
  if (beta_wanted) {
    beta = Tensor({channels});
    std::copy_n(values, channels, beta.data());
  }
  if (!tail.norm_training) return;
  const auto n = static_cast<double>(tail.shape.size() / channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    values[c] /= n;
    products[c] *= inverse[c] * inverse[c] / n;
  }
  layout.widen(values, columns, tables_.data());
  layout.widen(products, columns, tables_.data() + columns);
}

void TailGradient::operator()(std::int64_t first, std::int64_t count, float* to) const {
  kernels::TailGradient gradient = gate_at(tail_, first);
  if (!tables_.empty()) {
    const float* const tables = tables_.data() + first % tail_.map->channels;
    const std::int64_t stride = 2 * tail_.map->width;
    gradient.offset = tables;
    gradient.slope = tables + stride;
    gradient.scale = tables + 2 * stride;
  }
  kernels::active().tail_gradient.gradient(elements_at(*tail_.base, first), gradient, dy_ + first,
                                           tail_.inside.get(), first, to, count, tail_.map->width);
}

TailGradient::operator conv::Source<float>() const {
  if (plain_) return {.plain = dy_};
  return {.read = *this};
}

Tensor TailGradient::all(Tensor dy) const {
  if (plain_) return dy;
  Tensor dx = reuse_or_allocate(dy);
  const ChannelLayout layout(dy.size(), tail_.map->channels);
  parallel_for(layout.chunks().number(), [&](std::int64_t i) {
    const ChunkRange range = layout.chunks()[i];
    (*this)(range.begin, range.size(), dx.data() + range.begin);
  });
  return dx;
}

}  // namespace perch::fusion
