// xtensor views of tensors, for readable maths on cold paths. Not part of <perch/perch.h>:
// xtensor's types change with a compilation's -m flags, so these stay inside of sources.
#pragma once

#include <cstddef>
#include <vector>

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include <perch/core/tensor.h>

namespace perch {

inline std::vector<std::size_t> xt_shape(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

/// The tensor's own elements, without a copy.
inline auto xt_view(Tensor& t) {
  return xt::adapt(t.data(), static_cast<std::size_t>(t.size()), xt::no_ownership(),
                   xt_shape(t.shape()));
}
inline auto xt_view(const Tensor& t) {
  return xt::adapt(t.data(), static_cast<std::size_t>(t.size()), xt::no_ownership(),
                   xt_shape(t.shape()));
}

}  // namespace perch
