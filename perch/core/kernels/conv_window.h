// Walking window positions in blocks, shared by the convolution kernels. For kernel sources only.
#pragma once

#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/conv.h>

namespace perch::kernels {
namespace {

// Terms whose sums for two vectors of filters are in registers at once; twice as many for one.
//
// Neighbouring positions that share one pointer; two such groups, or one times two vectors of
// filters, are the accumulators of a block. Their number hides the multiply-add's latency and
// leaves registers for the weights and an input: 32 with AVX-512, else 16, of which a product
// without FMA needs one more.
#if defined(PERCH_ARCH_IS_AVX512)
constexpr int group_positions = 8;
constexpr int block_terms = 12;
#elif defined(PERCH_ARCH_IS_AVX2)
constexpr int group_positions = 4;
constexpr int block_terms = 6;
#else
constexpr int group_positions = 4;
constexpr int block_terms = 4;
#endif

/// `group_positions` positions: where `even`, place p is p steps on from place 0, which alone is
/// filled in.
template <class In, class Out>
struct PositionGroup {
  const In* in[group_positions];
  Out* out[group_positions];
  std::int64_t number[group_positions];  ///< of the position, in the order of the walk
  int count;  ///< of different positions; the places behind repeat the last one
  bool even;  ///< all in one row
};

/// Hands out the positions of a walk. A position may come twice, at the end of a row.
template <class In, class Out>
class PositionCursor {
 public:
  PositionCursor(const WindowWalk& walk, const In* input, Out* output)
      : walk_(walk), input_(input), output_(output) {}

  /// False when there are none left.
  bool next(PositionGroup<In, Out>& group) {
    if (image_ == walk_.images) return false;
    if (walk_.cols >= group_positions) {
      // The last group of a row reaches back over positions that were there already.
      const std::int64_t left = walk_.cols - col_;
      const std::int64_t begin = left < group_positions ? walk_.cols - group_positions : col_;
      group.in[0] = in_at(begin);
      group.out[0] = out_at(begin);
      group.number[0] = number_at(begin);
      group.count = group_positions;
      group.even = true;
      col_ = begin + group_positions;
      if (col_ == walk_.cols) next_row();
      return true;
    }
    group.even = false;
    group.count = 0;
    for (int p = 0; p < group_positions; ++p) {
      if (image_ == walk_.images) {
        group.in[p] = group.in[p - 1];
        group.out[p] = group.out[p - 1];
        group.number[p] = group.number[p - 1];
        continue;
      }
      group.in[p] = in_at(col_);
      group.out[p] = out_at(col_);
      group.number[p] = number_at(col_);
      ++group.count;
      if (++col_ == walk_.cols) next_row();
    }
    return true;
  }

 private:
  const In* in_at(std::int64_t col) const {
    return input_ + image_ * walk_.in_image + row_ * walk_.in_row + col * walk_.in_col;
  }
  Out* out_at(std::int64_t col) const {
    return output_ + image_ * walk_.out_image + row_ * walk_.out_row + col * walk_.out_col;
  }
  std::int64_t number_at(std::int64_t col) const {
    return (image_ * walk_.rows + row_) * walk_.cols + col;
  }
  void next_row() {
    col_ = 0;
    if (++row_ < walk_.rows) return;
    row_ = 0;
    ++image_;
  }

  const WindowWalk walk_;
  const In* const input_;
  Out* const output_;
  std::int64_t image_ = 0, row_ = 0, col_ = 0;
};

/// base + place * step, out of few registers: the multiples that an address can hold are free.
template <class T>
PERCH_INLINE inline T* at_place(T* base, int place, std::int64_t step) {
  const std::int64_t three = 3 * step, five = 5 * step, seven = 7 * step;
  switch (place) {
    case 0:
      return base;
    case 1:
      return base + step;
    case 2:
      return base + 2 * step;
    case 3:
      return base + three;
    case 4:
      return base + 4 * step;
    case 5:
      return base + five;
    case 6:
      return base + 2 * three;
    default:
      return base + seven;
  }
}

inline Batch load_or_zero(const float* from) {
  return from == nullptr ? Batch(0.0f) : Batch::load_unaligned(from);
}

}  // namespace
}  // namespace perch::kernels
