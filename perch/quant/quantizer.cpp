#include <algorithm>
#include <map>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/suggest.h>
#include <perch/quant/learned_quantizers.h>
#include <perch/quant/level_quantizers.h>
#include <perch/quant/quantizer.h>
#include <perch/quant/range_quantizer.h>

namespace perch {
namespace {

std::map<std::string, QuantizerFactory>& registry() {
  static std::map<std::string, QuantizerFactory> factories;
  return factories;
}

template <class Q>
std::unique_ptr<Quantizer> make(const QuantSpec& spec, TensorRole role) {
  if constexpr (std::is_constructible_v<Q, const QuantSpec&, TensorRole>) {
    return std::make_unique<Q>(spec, role);
  } else {
    return std::make_unique<Q>(spec);
  }
}

QuantizerFactory factory_of(const RangePolicy& policy) {
  if (std::holds_alternative<Lsq>(policy)) return make<LsqQuantizer>;
  if (std::holds_alternative<LsqPlus>(policy)) return make<LsqPlusQuantizer>;
  if (std::holds_alternative<Pact>(policy)) return make<PactQuantizer>;
  if (std::holds_alternative<Tqt>(policy)) return make<TqtQuantizer>;
  if (std::holds_alternative<DoReFa>(policy)) return make<DoReFaQuantizer>;
  if (std::holds_alternative<Binary>(policy)) return make<BinaryQuantizer>;
  if (std::holds_alternative<Ternary>(policy)) return make<TernaryQuantizer>;
  if (std::holds_alternative<PowerOfTwo>(policy)) return make<PowerOfTwoQuantizer>;
  if (const auto* const custom = std::get_if<Custom>(&policy)) {
    const auto found = registry().find(custom->name);
    if (found != registry().end()) return found->second;
    fail(ErrorCode::usage, "there is no quantizer \"{}\"; register_quantizer() makes it known",
         custom->name);
  }
  return make<RangeQuantizer>;
}

}  // namespace

std::int64_t shown_zero_point(const QuantGrid& grid, const QuantSpec& spec) {
  const std::int64_t first = spec.signed_codes ? std::int64_t{1} << (spec.bits - 1) : 0;
  return static_cast<std::int64_t>(grid.zero_point) - first;
}

Variable Quantizer::run(const Variable& x, const Context& context) {
  const Variable y = (*this)(x, mode.observes ? context : context.frozen());
  if (!mode.quantizes) return x;
  if (mode.share == 1.0f) return y;
  const auto times = [](const Variable& a, float factor) {
    return multiply(a, Variable(Tensor::scalar(factor)));
  };
  return add(times(y, mode.share), times(x, 1.0f - mode.share));
}

std::unique_ptr<Quantizer> make_quantizer(const QuantSpec& spec, TensorRole role) {
  validate(spec);
  return factory_of(spec.range)(spec, role);
}

void register_quantizer(const std::string& name, QuantizerFactory factory) {
  const std::vector<std::string>& own = policy_names();
  PERCH_CHECK(!name.empty() && std::find(own.begin(), own.end(), name) == own.end(),
              "a quantizer of one's own cannot be called \"{}\"; choose another name", name);
  registry()[name] = std::move(factory);
}

std::vector<std::string> registered_quantizers() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : registry()) names.push_back(name);
  return names;
}

std::vector<std::int64_t> RangeAxes::cut_extents(const Shape& shape,
                                                 std::int64_t group_size) const {
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  const auto at = extents.begin() + *cut;
  *at /= group_size;
  extents.insert(at + 1, group_size);
  return extents;
}

RangeAxes range_axes(const Granularity& granularity, const Shape& shape,
                     const std::vector<int>& channel_axes) {
  using Kind = Granularity::Kind;
  const auto resolve = [&](int axis) {
    PERCH_CHECK(axis >= -shape.rank() && axis < shape.rank(),
                "axis {} does not exist in shape {}; it has {} axes", axis, shape.to_string(),
                shape.rank());
    return shape.normalise(axis);
  };
  RangeAxes result;
  if (granularity.kind == Kind::axes) result.axes = granularity.axes;
  if (granularity.kind == Kind::channel || granularity.kind == Kind::group) {
    result.axes = channel_axes;
  }
  for (int& axis : result.axes) axis = resolve(axis);
  std::sort(result.axes.begin(), result.axes.end());
  const auto repeated = std::adjacent_find(result.axes.begin(), result.axes.end());
  PERCH_CHECK(repeated == result.axes.end(), "axis {} of shape {} is named twice", *repeated,
              shape.to_string());
  for (const int axis : result.axes) result.ranges *= shape[axis];
  if (granularity.kind != Kind::group) return result;

  const int cut = resolve(granularity.axes.at(0));
  const std::int64_t size = granularity.group_size;
  PERCH_CHECK(
      shape[cut] % size == 0,
      "groups of {} do not divide axis {} of shape {}, which has {} elements; choose a divisor, or "
      "another granularity for this layer by a rule of its own",
      size, cut, shape.to_string(), shape[cut]);
  PERCH_CHECK(shape.rank() < Shape::max_rank, "groups of shape {}: it has too many axes",
              shape.to_string());
  const auto same = std::find(result.axes.begin(), result.axes.end(), cut);
  if (same != result.axes.end()) {
    result.axes.erase(same);
    result.ranges /= shape[cut];
  }
  for (int& axis : result.axes) axis += axis > cut ? 1 : 0;
  result.axes.push_back(cut);
  std::sort(result.axes.begin(), result.axes.end());
  result.ranges *= shape[cut] / size;
  result.cut = cut;
  return result;
}

StepQuantOptions step_options(const std::vector<int>& axes, const QuantSpec& spec,
                              const Context& context) {
  StepQuantOptions options{.axes = axes, .rounding = spec.rounding};
  if (spec.rounding == Rounding::stochastic && context.training) {
    options.random = Random(context.seed, "quantizer.rounding", context.step);
  }
  return options;
}

void Quantizer::check_bits(int bits) const {
  fail(ErrorCode::usage,
       "{} has {} bits and cannot be given {}; leave it out of a change of widths",
       policy_name(spec().range), spec().bits, bits);
}

void Quantizer::set_bits(int bits) {
  check_bits(bits);
}

void SpecQuantizer::check_bits(int bits) const {
  QuantSpec spec = spec_;
  spec.bits = bits;
  validate(spec);
}

void SpecQuantizer::set_bits(int bits) {
  check_bits(bits);
  spec_.bits = bits;
}

SpecQuantizer::SpecQuantizer(QuantSpec spec) : spec_(std::move(spec)) {
  validate(spec_);
}

void SpecQuantizer::build(const Shape& shape, const std::vector<int>& channel_axes) {
  axes_ = range_axes(spec_.granularity, shape, channel_axes);
  built_ = true;
  create_state(axes_.axes.empty() ? Shape{} : Shape{axes_.ranges});
}

Variable SpecQuantizer::operator()(const Variable& x, const Context& context) {
  PERCH_CHECK(built_, "the quantizer has no range yet; build it first");
  const bool cut = axes_.cut.has_value();
  const std::vector<std::int64_t> whole(x.shape().begin(), x.shape().end());
  const Variable in =
      cut ? reshape(x, axes_.cut_extents(x.shape(), spec_.granularity.group_size)) : x;
  std::int64_t count = 1;
  for (const int axis : axes_.axes) count *= axis < in.shape().rank() ? in.shape()[axis] : 0;
  PERCH_CHECK(count == axes_.ranges, "{} ranges do not fit the {} of shape {} along {}",
              axes_.ranges, count, in.shape().to_string(), axes_.axes);
  if (context.training) observe(in.value(), context);
  if (spec_.observe_only) return x;
  const Variable y = quantize(in, context);
  return cut ? reshape(y, whole) : y;
}

void SpecQuantizer::visit(Visitor& visitor) {
  visit_spec(visitor, spec_);
  visit_mode(visitor, mode);
  visit_state(visitor);
}

}  // namespace perch
