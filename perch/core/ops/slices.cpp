#include <algorithm>
#include <array>

#include <perch/core/check.h>
#include <perch/core/ops/slices.h>
#include <perch/core/parallel.h>

namespace perch {

Slices::Slices(const Shape& shape, const std::vector<int>& axes) : shape_(shape) {
  std::int64_t stride = shape.size();
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t extent = shape[axis];
    stride = extent == 0 ? 0 : stride / extent;
    const bool keep = std::find(axes.begin(), axes.end(), axis) != axes.end();
    if (keep) {
      in_order_ = in_order_ && size_ == 1;
      count_ *= extent;
    } else {
      size_ *= extent;
    }
    (keep ? kept_ : rest_).push_back({extent, stride});
  }
  PERCH_CHECK(kept_.size() == axes.size(), "axes {} do not all exist in shape {}", axes,
              shape.to_string());
  if (rest_.empty()) rest_.push_back({1, 1});
}

// move(element of the rows, element of the tensor, tensor's stride, length) for pieces of each run
// along the last of the other axes. Neighbouring rows go piece by piece together: in the tensor,
// their elements are neighbours too.
template <class Move>
void Slices::for_runs(const Move& move) const {
  const Axis run = rest_.back();
  const std::int64_t runs = run.extent == 0 ? 0 : size_ / run.extent;
  const Chunks blocks(count_, 16), pieces(run.extent, 16);
  const auto place = [](std::int64_t index, const Axis* axis, const Axis* end) {
    std::int64_t at = 0;
    while (axis != end) {
      --end;
      at += index % end->extent * end->stride;
      index /= end->extent;
    }
    return at;
  };
  parallel_for(blocks.number(), [&](std::int64_t block) {
    const ChunkRange rows = blocks[block];
    std::array<std::int64_t, 16> bases;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      bases[static_cast<std::size_t>(row - rows.begin)] =
          place(row, kept_.data(), kept_.data() + kept_.size());
    }
    for (std::int64_t i = 0; i < runs; ++i) {
      const std::int64_t offset = place(i, rest_.data(), rest_.data() + rest_.size() - 1);
      for (std::int64_t p = 0; p < pieces.number(); ++p) {
        const ChunkRange piece = pieces[p];
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
          const std::int64_t base = bases[static_cast<std::size_t>(row - rows.begin)];
          move(row * size_ + i * run.extent + piece.begin, base + offset + piece.begin * run.stride,
               run.stride, piece.size());
        }
      }
    }
  });
}

Tensor Slices::gather(const Tensor& x) const {
  PERCH_CHECK(x.shape() == shape_, "slices of {} of a tensor of {}", shape_.to_string(),
              x.shape().to_string());
  const Shape rows{count_, size_};
  if (in_order_) return x.reshape(rows);
  Tensor result(rows);
  const float* const in = x.data();
  float* const out = result.data();
  for_runs([&](std::int64_t to, std::int64_t from, std::int64_t stride, std::int64_t length) {
    for (std::int64_t i = 0; i < length; ++i) out[to + i] = in[from + i * stride];
  });
  return result;
}

Tensor Slices::scatter(const Tensor& rows) const {
  if (in_order_) return rows.reshape(shape_);
  Tensor result(shape_);
  const float* const in = rows.data();
  float* const out = result.data();
  for_runs([&](std::int64_t from, std::int64_t to, std::int64_t stride, std::int64_t length) {
    for (std::int64_t i = 0; i < length; ++i) out[to + i * stride] = in[from + i];
  });
  return result;
}

}  // namespace perch
