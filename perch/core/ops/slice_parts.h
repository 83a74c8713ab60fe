// SliceParts: slices cut into parts for loops with a result for each. For sources only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <perch/core/ops/slices.h>
#include <perch/core/parallel.h>

namespace perch {

/// The rows of Slices in parts of at most part_elements, which do not depend on the thread count.
class SliceParts {
 public:
  /// 64 KiB of floats: enough to be worth a task, few enough that noise for them fits the stack.
  static constexpr std::int64_t part_elements = 1 << 14;

  /// As Slices.
  SliceParts(const Shape& shape, const std::vector<int>& axes)
      : slices_(shape, axes),
        parts_per_row_(
            std::max<std::int64_t>((slices_.size() + part_elements - 1) / part_elements, 1)) {}

  const Slices& slices() const { return slices_; }
  std::int64_t parts() const { return slices_.count() * parts_per_row_; }
  std::size_t row(std::int64_t part) const {
    return static_cast<std::size_t>(part / parts_per_row_);
  }
  std::size_t count() const { return static_cast<std::size_t>(slices_.count()); }
  /// Of the gathered rows.
  ChunkRange elements(std::int64_t part) const {
    const std::int64_t begin = part / parts_per_row_ * slices_.size();
    const std::int64_t first = part % parts_per_row_ * part_elements;
    return {begin + first, begin + std::min(first + part_elements, slices_.size())};
  }
  /// f(part), in any order; several short rows are one chunk.
  template <class F>
  void for_parts(const F& f) const {
    const Chunks chunks(parts(), part_elements / std::max<std::int64_t>(slices_.size(), 1));
    parallel_for(chunks.number(), [&](std::int64_t i) {
      for (std::int64_t part = chunks[i].begin; part < chunks[i].end; ++part) f(part);
    });
  }

 private:
  Slices slices_;
  std::int64_t parts_per_row_;
};

}  // namespace perch
