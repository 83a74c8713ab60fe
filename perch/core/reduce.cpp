#include <algorithm>
#include <atomic>
#include <cmath>

#include <xtensor/xmath.hpp>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/xt_view.h>

namespace perch {

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> extents(static_cast<std::size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const std::int64_t ea = i < a.rank() ? a[-1 - i] : 1, eb = i < b.rank() ? b[-1 - i] : 1;
    PERCH_CHECK(ea == eb || ea == 1 || eb == 1, "shapes {} and {} do not broadcast", a.to_string(),
                b.to_string());
    extents[static_cast<std::size_t>(rank - 1 - i)] = ea == 1 ? eb : ea;
  }
  return Shape(extents);
}

Tensor reduce_to_shape(Tensor t, const Shape& target) {
  if (t.shape() == target) return t;
  std::vector<std::size_t> axes;
  const int extra = t.shape().rank() - target.rank();
  for (int i = 0; i < t.shape().rank(); ++i) {
    if (i < extra || (target[i - extra] == 1 && t.shape()[i] != 1)) {
      axes.push_back(static_cast<std::size_t>(i));
    }
  }
  Tensor result(target);
  xt_view(result) =
      xt::reshape_view(xt::sum<double>(xt_view(std::as_const(t)), axes), xt_shape(target));
  return result;
}

Tensor sum_of(Tensor a, const Tensor& b) {
  PERCH_CHECK(a.shape() == b.shape(), "gradients of shapes {} and {} do not add up",
              a.shape().to_string(), b.shape().to_string());
  Tensor total = reuse_or_allocate(a);
  // Pointers ahead of the loop: writing access to a tensor gives up its encoding.
  const float *const from = std::as_const(a).data(), *const more = b.data();
  float* const to = total.data();
  parallel_elements(a.size(), [&](ChunkRange range) {
    kernels::active().elementwise.add(to + range.begin, from + range.begin, more + range.begin,
                                      range.size());
  });
  return total;
}

bool all_finite(const Tensor& t) {
  const float* const data = t.data();
  std::atomic<bool> finite = true;
  parallel_elements(t.size(), [&](ChunkRange range) {
    const auto sum = kernels::active().elementwise.sum;
    // A sum that is finite says it of every element; one that is not may only be too large.
    if (std::isfinite(sum(data + range.begin, range.size()))) return;
    if (!std::all_of(data + range.begin, data + range.end,
                     [](float x) { return std::isfinite(x); })) {
      finite = false;
    }
  });
  return finite;
}

Tensor reuse_or_allocate(const Tensor& t) {
  return t.unique() ? t : Tensor(t.shape());
}

}  // namespace perch
