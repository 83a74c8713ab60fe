// Smallest and largest values and moments per channel, gathered part by part, while the parts are
// in the cache; the same bits with any number of threads. For sources only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/moments.h>
#include <perch/core/tensor.h>

namespace perch {

class Statistics {
 public:
  /// Of [..., channels] in `parts` parts; with moments, or smallest and largest values only.
  Statistics(std::int64_t parts, std::int64_t channels, bool moments);
  /// Adds part number `part`, once each, from any thread.
  void add(std::int64_t part, const float* x, std::int64_t count);
  /// After the last part. False when a value, or a sum of them, is not finite.
  bool finish();

  const Tensor& low() const { return low_; }    ///< [channels]
  const Tensor& high() const { return high_; }  ///< [channels]
  /// Null when they were not asked for.
  const Moments* moments() const { return with_moments_ ? &*moments_ : nullptr; }

 private:
  std::int64_t parts_, channels_;
  bool with_moments_;
  ChannelLayout layout_;
  Tensor scratch_;   // of each thread: shift, low, high, and sums and squares in double
  Tensor extremes_;  // [parts][2, channels]
  std::shared_ptr<double> moment_parts_, counts_;  // [parts][2, channels], [parts]
  Tensor low_, high_;
  std::optional<Moments> moments_;
  std::atomic<bool> finite_ = true;
};

}  // namespace perch
