// Walking window positions in blocks, shared by the convolution kernels. For kernel sources only.
#pragma once

#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/conv.h>

namespace perch::kernels {
namespace {

// Positions per block, so that accumulators (times two vectors), weights and a broadcast input fit
// into the registers: 32 with AVX-512, else 16; without FMA a product needs one of its own.
#if defined(PERCH_ARCH_IS_AVX512)
constexpr int block_positions = 8;
constexpr int block_terms = 12;
#elif defined(PERCH_ARCH_IS_AVX2)
constexpr int block_positions = 6;
constexpr int block_terms = 6;
#else
constexpr int block_positions = 4;
constexpr int block_terms = 4;
#endif

struct PositionBlock {
  const float* in[block_positions];
  float* out[block_positions];
  int count;
};

/// Hands out the positions of a walk in order, rows and images running into each other.
class PositionCursor {
 public:
  PositionCursor(const WindowWalk& walk, const float* input, float* output)
      : walk_(walk),
        in_image_(input),
        in_row_(input),
        in_(input),
        out_image_(output),
        out_row_(output),
        out_(output) {}

  /// The next positions; unused places repeat the last one. False when there are none.
  bool next(PositionBlock& block) {
    if (image_ == walk_.images) return false;
    if (col_ + block_positions < walk_.cols) {  // the usual case: all in one row
      for (int p = 0; p < block_positions; ++p) {
        block.in[p] = in_ + p * walk_.in_col;
        block.out[p] = out_ + p * walk_.out_col;
      }
      block.count = block_positions;
      in_ += block_positions * walk_.in_col;
      out_ += block_positions * walk_.out_col;
      col_ += block_positions;
      return true;
    }
    block.count = 0;
    for (int p = 0; p < block_positions; ++p) {
      if (image_ == walk_.images) {
        block.in[p] = block.in[p - 1];
        block.out[p] = block.out[p - 1];
        continue;
      }
      block.in[p] = in_;
      block.out[p] = out_;
      ++block.count;
      advance();
    }
    return true;
  }

 private:
  void advance() {
    in_ += walk_.in_col;
    out_ += walk_.out_col;
    if (++col_ < walk_.cols) return;
    col_ = 0;
    in_ = in_row_ += walk_.in_row;
    out_ = out_row_ += walk_.out_row;
    if (++row_ < walk_.rows) return;
    row_ = 0;
    in_ = in_row_ = in_image_ += walk_.in_image;
    out_ = out_row_ = out_image_ += walk_.out_image;
    ++image_;
  }

  const WindowWalk walk_;
  const float *in_image_, *in_row_, *in_;
  float *out_image_, *out_row_, *out_;
  std::int64_t image_ = 0, row_ = 0, col_ = 0;
};

inline Batch load_or_zero(const float* from) {
  return from == nullptr ? Batch(0.0f) : Batch::load_unaligned(from);
}

}  // namespace
}  // namespace perch::kernels
