#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/channel_statistics.h>
#include <perch/core/ops/code_moments.h>
#include <perch/core/ops/moments.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>

namespace perch {
namespace {

Tensor rounded(const double* values, std::int64_t count) {
  Tensor result(Shape{count});
  for (std::int64_t i = 0; i < count; ++i) result.data()[i] = static_cast<float>(values[i]);
  return result;
}

// value(i, c) for element i, of channel c, of [..., channels].
template <class Value>
Tensor by_channel(const Shape& shape, const ChannelLayout& layout, const Value& value) {
  Tensor result(shape);
  parallel_for(layout.chunks().number(), [&](std::int64_t chunk) {
    const ChunkRange range = layout.chunks()[chunk];
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      result.data()[i] = value(i, i % layout.channels());
    }
  });
  return result;
}

// dmean / n in every row.
Variable mean_of(const Variable& x, const Moments& moments, const ChannelLayout& layout) {
  const std::int64_t channels = moments.channels();
  const auto gradient = [shape = x.shape(), channels, layout](Tensor dy) -> std::vector<Tensor> {
    const auto n = static_cast<float>(shape.size() / channels);
    return {by_channel(shape, layout, [&](std::int64_t, std::int64_t c) {
      return std::as_const(dy).data()[c] / n;
    })};
  };
  return Variable::from_op("channel_mean", rounded(moments.mean(), channels), {x}, gradient);
}

// With r = (variance + epsilon)^(-1/2): dr/dx = -r^3 (x - mean) / n.
Variable inverse_deviation_of(const Variable& x, const Moments& moments,
                              const ChannelLayout& layout, double epsilon) {
  const std::int64_t channels = moments.channels();
  const Normalisation norm(moments, Tensor(), epsilon);
  Tensor inverse = rounded(norm.inverse_deviation.get(), channels);
  const auto gradient = [value = x.value(), mean = rounded(moments.mean(), channels), norm,
                         channels, layout](Tensor dy) -> std::vector<Tensor> {
    const auto n = static_cast<double>(value.size() / channels);
    Tensor factor(Shape{channels});
    for (std::int64_t c = 0; c < channels; ++c) {
      const double r = norm.inverse_deviation.get()[c];
      factor.data()[c] = static_cast<float>(-r * r * r / n * static_cast<double>(dy.data()[c]));
    }
    return {by_channel(value.shape(), layout, [&](std::int64_t i, std::int64_t c) {
      return std::as_const(factor).data()[c] * (value.data()[i] - mean.data()[c]);
    })};
  };
  return Variable::from_op("channel_inverse_deviation", std::move(inverse), {x}, gradient);
}

}  // namespace

Variable scale_channels(const Variable& x, const Tensor& factor) {
  PERCH_CHECK(x.shape().rank() >= 1 && factor.shape() == Shape{x.shape()[-1]},
              "scale_channels: factors of shape {} for x of shape {}", factor.shape().to_string(),
              x.shape().to_string());
  const ChannelLayout layout(x.value().size(), factor.size());
  const Tensor wide = layout.widen(std::as_const(factor).data());
  Tensor y = scale_columns(layout, x.value(), wide, Tensor(x.shape()));
  return Variable::from_op("scale_channels", std::move(y), {x},
                           [wide, layout](Tensor dy) -> std::vector<Tensor> {
                             return {scale_columns(layout, dy, wide, reuse_or_allocate(dy))};
                           });
}

ChannelStatistics channel_statistics(const Variable& x, Tensor& moving_mean,
                                     Tensor& moving_variance, const BatchNormOptions& options) {
  const std::int64_t channels = moving_mean.size();
  const double epsilon = static_cast<double>(options.epsilon);
  if (!options.training) {
    const Normalisation norm(Moments::of(moving_mean, moving_variance), Tensor(), epsilon);
    return {Variable(moving_mean.clone()),
            Variable(rounded(norm.inverse_deviation.get(), channels))};
  }
  PERCH_CHECK(x.shape().rank() >= 2 && x.value().size() > 0 && x.shape()[-1] == channels,
              "channel_statistics: x of shape {} should be [..., {}] and not empty",
              x.shape().to_string(), channels);
  const ChannelLayout layout(x.value().size(), channels);
  const Moments moments = batch_moments(layout, x.value());
  moments.move(moving_mean, moving_variance, x.value().size() / channels,
               static_cast<double>(options.momentum));
  return {mean_of(x, moments, layout), inverse_deviation_of(x, moments, layout, epsilon)};
}

}  // namespace perch
