#include <perch/core/ops/levels.h>
#include <perch/quant/level_quantizers.h>

namespace perch {

DoReFaQuantizer::DoReFaQuantizer(const QuantSpec& spec, TensorRole role)
    : LevelQuantizer(spec), role_(role) {}

std::vector<QuantGrid> DoReFaQuantizer::grids() const {
  if (role_ == TensorRole::weight) return {};
  return std::vector<QuantGrid>(static_cast<std::size_t>(ranges()),
                                QuantGrid::of(0.0f, 1.0f, spec().bits, false));
}

Variable DoReFaQuantizer::quantize(const Variable& x, const Context&) {
  if (role_ == TensorRole::weight) return dorefa_weight_quant(x, axes(), spec().bits);
  // The same values, but for the last bit of a level: fake_quant multiplies it by 1 / (2^b - 1).
  // Its results have an 8-bit grid, from which products are formed in integers.
  return fake_quant(x, Variable(Tensor::scalar(0.0f)), Variable(Tensor::scalar(1.0f)),
                    {.bits = spec().bits, .constant_range = true});
}

Variable BinaryQuantizer::quantize(const Variable& x, const Context&) {
  return binary_quant(x, axes());
}

Variable TernaryQuantizer::quantize(const Variable& x, const Context&) {
  return ternary_quant(x, axes(), std::get<Ternary>(spec().range).threshold);
}

Variable PowerOfTwoQuantizer::quantize(const Variable& x, const Context&) {
  return power_of_two_quant(x, axes(), spec().bits);
}

}  // namespace perch
