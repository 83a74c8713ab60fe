#include <algorithm>

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

// move(element of the rows, element of the tensor, tensor's stride, length) for each run along the
// last of the other axes.
template <class Move>
void Slices::for_runs(const Move& move) const {
  const Axis run = rest_.back();
  const std::int64_t runs = run.extent == 0 ? 0 : size_ / run.extent;
  parallel_for(count_, [&](std::int64_t row) {
    std::int64_t base = 0, index = row;
    for (auto axis = kept_.rbegin(); axis != kept_.rend(); ++axis) {
      base += index % axis->extent * axis->stride;
      index /= axis->extent;
    }
    for (std::int64_t i = 0; i < runs; ++i) {
      std::int64_t from = base, rest = i;
      for (auto axis = rest_.rbegin() + 1; axis != rest_.rend(); ++axis) {
        from += rest % axis->extent * axis->stride;
        rest /= axis->extent;
      }
      move(row * size_ + i * run.extent, from, run.stride, run.extent);
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
