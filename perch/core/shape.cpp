#include <algorithm>
#include <functional>
#include <numeric>

#include <perch/core/check.h>
#include <perch/core/shape.h>

namespace perch {

Shape::Shape(std::span<const std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  PERCH_CHECK(extents.size() <= static_cast<std::size_t>(max_rank),
              "shape: rank {} is above the largest supported, {}", extents.size(), max_rank);
  std::copy(extents.begin(), extents.end(), extents_.begin());
  PERCH_CHECK(std::all_of(begin(), end(), [](std::int64_t e) { return e >= 0; }),
              "shape: negative extent in {}", to_string());
}

std::int64_t Shape::size() const {
  return std::accumulate(begin(), end(), std::int64_t{1}, std::multiplies<>());
}

int Shape::normalise(int axis) const {
  const int from_front = axis < 0 ? axis + rank_ : axis;
  PERCH_CHECK(from_front >= 0 && from_front < rank_, "shape: axis {} is out of range for {}", axis,
              to_string());
  return from_front;
}

Shape Shape::batched(std::int64_t count) const {
  PERCH_CHECK(rank_ < max_rank, "shape: {} has no room for a batch axis", to_string());
  Shape result;
  result.rank_ = rank_ + 1;
  result.extents_[0] = count;
  std::copy(begin(), end(), result.extents_.begin() + 1);
  return result;
}

Shape Shape::unbatched() const {
  PERCH_CHECK(rank_ > 0, "shape: a scalar has no batch axis");
  return Shape(std::span<const std::int64_t>(begin() + 1, end()));
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(begin(), end(), ", "));
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace perch
