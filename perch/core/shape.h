// Shape: the extents of a tensor, row-major, at most eight of them, without heap memory.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace perch {

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;  ///< rank 0: one element
  Shape(std::initializer_list<std::int64_t> extents)
      : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}
  /// Throws Error(usage) for more than eight extents or a negative one.
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  /// Extent of an axis; negative axes count from the end. Throws Error(usage) out of range.
  std::int64_t operator[](int axis) const { return extents_[normalise(axis)]; }
  /// Number of elements: the product of the extents.
  std::int64_t size() const;
  /// Axis in [0, rank), from one that may count from the end. Throws Error(usage) out of range.
  int normalise(int axis) const;

  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  std::span<const std::int64_t> extents() const { return {begin(), end()}; }

  /// This shape with a leading axis added, as a batch of it has.
  Shape batched(std::int64_t count) const;
  /// This shape without its leading axis.
  Shape unbatched() const;

  std::string to_string() const;  ///< "[64, 32, 32, 3]"

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

}  // namespace perch
