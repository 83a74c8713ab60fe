// Mean and variance per channel, and what a batch normalisation makes of them. For sources only.
#pragma once

#include <cstdint>
#include <memory>

#include <perch/core/tensor.h>

namespace perch {

/// In double, per channel.
class Moments {
 public:
  explicit Moments(std::int64_t channels);
  /// From the parts of a batch, [parts][2, channels]: each part's mean and its sum of squared
  /// distances from it; counts[i] values per channel in part i. (Chan, Golub and LeVeque, "Updating
  /// formulae and a pairwise algorithm for computing sample variances", 1979.)
  static Moments merged(const double* parts, const double* counts, std::int64_t number,
                        std::int64_t channels);
  /// Of given statistics.
  static Moments of(const Tensor& mean, const Tensor& variance);

  std::int64_t channels() const { return channels_; }
  double* mean() { return values_.get(); }
  const double* mean() const { return values_.get(); }
  /// Biased: the sum of squared distances divided by their number.
  double* variance() { return values_.get() + channels_; }
  const double* variance() const { return values_.get() + channels_; }

  /// Moves moving statistics towards these, of n values per channel, as Keras does: the variance
  /// with n / (n - 1).
  void move(Tensor& moving_mean, Tensor& moving_variance, std::int64_t n, double momentum) const;

 private:
  std::int64_t channels_;
  std::shared_ptr<double> values_;
};

/// y = (x - mean) scale + beta with scale = gamma inverse_deviation, per channel.
struct Normalisation {
  /// gamma may be empty: 1.
  Normalisation(const Moments& moments, const Tensor& gamma, double epsilon);
  std::shared_ptr<double> inverse_deviation, scale;
};

}  // namespace perch
