// Slices: the elements that share a range, as rows. For what is not done in one streaming pass.
#pragma once

#include <vector>

#include <perch/core/tensor.h>

namespace perch {

/// A tensor's elements sorted by the index along some axes: [count, size], rows in row-major order
/// of those axes and each row's elements in the tensor's order.
class Slices {
 public:
  /// `axes`: not negative, rising. Throws Error(usage) for one that the shape does not have.
  Slices(const Shape& shape, const std::vector<int>& axes);

  std::int64_t count() const { return count_; }
  std::int64_t size() const { return size_; }
  /// [count, size]; shares x's elements where they lie that way already.
  Tensor gather(const Tensor& x) const;
  /// The inverse: the tensor of the shape.
  Tensor scatter(const Tensor& rows) const;

 private:
  struct Axis {
    std::int64_t extent, stride;  // stride: in elements of the tensor
  };
  template <class Move>
  void for_runs(const Move& move) const;

  Shape shape_;
  std::vector<Axis> kept_, rest_;
  std::int64_t count_ = 1, size_ = 1;
  bool in_order_ = true;
};

}  // namespace perch
