#include <algorithm>
#include <cmath>

#include <perch/core/ops/moments.h>
#include <perch/core/storage.h>

namespace perch {
namespace {

void move_towards(Tensor& moving, const double* batch, double factor, double momentum) {
  for (float& value : moving.values()) {
    value = static_cast<float>(momentum * value + (1.0 - momentum) * factor * *batch++);
  }
}

}  // namespace

Moments::Moments(std::int64_t channels)
    : channels_(channels), values_(allocate_doubles(2 * channels)) {}

Moments Moments::merged(const double* parts, const double* counts, std::int64_t number,
                        std::int64_t channels) {
  Moments result(channels);
  double* const mean = result.mean();
  double* const spread = result.variance();
  std::copy_n(parts, 2 * channels, mean);
  double total = counts[0];
  for (std::int64_t i = 1; i < number; ++i) {
    const double* const more = parts + i * 2 * channels;
    const double count = counts[i];
    const double share = count / (total + count);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double difference = more[c] - mean[c];
      mean[c] += difference * share;
      spread[c] += more[channels + c] + difference * difference * total * share;
    }
    total += count;
  }
  for (std::int64_t c = 0; c < channels; ++c) spread[c] /= total;
  return result;
}

Moments Moments::of(const Tensor& mean, const Tensor& variance) {
  Moments result(mean.size());
  std::copy_n(mean.data(), mean.size(), result.mean());
  std::copy_n(variance.data(), variance.size(), result.variance());
  return result;
}

void Moments::move(Tensor& moving_mean, Tensor& moving_variance, std::int64_t n,
                   double momentum) const {
  const auto count = static_cast<double>(n);
  move_towards(moving_mean, mean(), 1.0, momentum);
  move_towards(moving_variance, variance(), count > 1 ? count / (count - 1) : 1.0, momentum);
}

Normalisation::Normalisation(const Moments& moments, const Tensor& gamma, double epsilon)
    : inverse_deviation(allocate_doubles(moments.channels())),
      scale(allocate_doubles(moments.channels())) {
  for (std::int64_t c = 0; c < moments.channels(); ++c) {
    const double inverse = 1.0 / std::sqrt(moments.variance()[c] + epsilon);
    inverse_deviation.get()[c] = inverse;
    scale.get()[c] = gamma.empty() ? inverse : inverse * static_cast<double>(gamma.data()[c]);
  }
}

}  // namespace perch
