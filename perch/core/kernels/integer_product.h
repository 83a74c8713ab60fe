// The integer product, for an instruction that multiplies and adds the terms in 32 bits. For kernel
// sources only.
#pragma once

#include <perch/core/kernels/conv_product.h>
#include <perch/core/kernels/integer.h>

namespace perch::kernels {
namespace {

/// Dot: Vector, of 32-bit integers; load, spread, and sum + x . w; times and plus; to_floats.
template <class Dot>
struct IntegerArithmetic {
  using Element = std::int32_t;
  using Weight = std::int32_t;
  using Sum = typename Dot::Vector;
  using Weights = typename Dot::Vector;
  using Product = IntegerProduct;
  static constexpr std::int64_t width = lanes;

  static Sum start(const Product& product, std::int64_t first) {
    return Dot::load(product.constant + first);
  }
  static Weights load(const Weight* from) { return Dot::load(from); }
  static Sum spread(Element x) { return Dot::spread(x); }
  static Sum multiply_add(const Sum& x, const Weights& w, const Sum& sum) {
    return Dot::multiply_add(x, w, sum);
  }

  struct Finish {
    Finish(const Product& product, std::int64_t first)
        : sums(product.window_sums),
          factor(sums == nullptr ? Dot::spread(0) : Dot::load(product.window_factor + first)),
          scale(Batch::load_unaligned(product.scale + first)),
          bias(Batch::load_unaligned(product.bias + first)) {}
    // Two roundings, not one fused: the same on instruction sets without FMA.
    Batch operator()(const Sum& sum, std::int64_t number) const {
      const Sum all =
          sums == nullptr ? sum : Dot::plus(sum, Dot::times(factor, Dot::spread(sums[number])));
      return Dot::to_floats(all) * scale + bias;
    }
    const std::int32_t* sums;
    Sum factor;
    Batch scale, bias;
  };
};

}  // namespace
}  // namespace perch::kernels
