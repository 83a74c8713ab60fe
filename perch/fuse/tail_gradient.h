// The way back through the stages behind a layer's sums.
#pragma once

#include <cstdint>

#include <perch/core/ops/conv_band.h>
#include <perch/core/tensor.h>
#include <perch/fuse/tail.h>

namespace perch::fusion {

/// From the gradient of a block's output to that of its sums, computed where it is read. Holds
/// references: tail and dy must outlive it, and it the Source that it becomes.
class TailGradient {
 public:
  TailGradient(const Tail& tail, const Tensor& dy, bool gamma_wanted, bool beta_wanted);

  /// Of [channels]; empty when not wanted.
  Tensor gamma, beta;

  /// Elements [first, first + count) of the sums' gradient.
  void operator()(std::int64_t first, std::int64_t count, float* to) const;
  operator conv::Source<float>() const;
  /// All of them, in dy's memory when nobody else holds it.
  Tensor all(Tensor dy) const;

 private:
  const Tail& tail_;
  const float* dy_;
  bool plain_;     // the sums' gradient is dy itself
  Tensor tables_;  // [3, 2 width]: offset, slope, scale; empty without norm
};

}  // namespace perch::fusion
