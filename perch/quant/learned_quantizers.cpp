#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/ops/slices.h>
#include <perch/core/ops/step_quant.h>
#include <perch/core/reduce.h>
#include <perch/quant/learned_quantizers.h>
#include <perch/quant/search.h>

namespace perch {
namespace {

constexpr float smallest_scale = 1e-8f;
constexpr int entropy_bins = 2048;

/// A trainable value for each range, `value(row)` of the rows.
template <class Value>
Tensor of_rows(const Tensor& rows, const Shape& ranges, const Value& value) {
  Tensor result(ranges);
  const auto size = static_cast<std::size_t>(rows.shape()[1]);
  for (std::int64_t i = 0; i < result.size(); ++i) {
    const float* const row = rows.data() + i * rows.shape()[1];
    result.data()[i] = std::max(static_cast<float>(value(std::span(row, size))), smallest_scale);
  }
  return result;
}

double mean_magnitude(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += std::abs(double{value});
  return sum / static_cast<double>(values.size());
}

double largest_magnitude(std::span<const float> values) {
  double most = 0.0;
  for (const float value : values) most = std::max(most, std::abs(double{value}));
  return most;
}

// max(|m - 3 d|, |m + 3 d|)
double three_deviations(std::span<const float> values) {
  double sum = 0.0, squares = 0.0;
  for (const float value : values) sum += double{value};
  const double mean = sum / static_cast<double>(values.size());
  for (const float value : values) squares += (double{value} - mean) * (double{value} - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
  return std::abs(mean) + 3.0 * deviation;
}

/// Takes values that training made too small back.
void hold_positive(Variable& trained) {
  for (float& value : trained.mutable_value().values()) value = std::max(value, smallest_scale);
}

Variable trained(const Shape& ranges) {
  return Variable(Tensor::full(ranges, 1.0f), true);
}

}  // namespace

LearnedQuantizer::LearnedQuantizer(const QuantSpec& spec, TensorRole role)
    : SpecQuantizer(spec), role_(role) {}

void LearnedQuantizer::observe(const Tensor& x, const Context&) {
  if (initialised()) return;
  PERCH_CHECK(all_finite(x),
              "the first values hold a NaN or an infinity, from which no range can start; check "
              "the data and the learning rate");
  const Tensor rows = Slices(x.shape(), axes()).gather(x);
  const auto values = std::as_const(rows).values();
  signed_ = role_ == TensorRole::weight || *std::ranges::min_element(values) < 0.0f ? 1 : 0;
  start(rows);
  initialised_ = 1;
}

Variable LearnedQuantizer::quantize(const Variable& x, const Context& context) {
  return initialised() ? quantize_started(x, context) : x;
}

void LearnedQuantizer::visit_state(Visitor& visitor) {
  visit_trained(visitor);
  visitor.counter("initialised", initialised_);
  visitor.counter("signed", signed_);
}

Variable LearnedQuantizer::used(const Variable& trained, const Context& context) {
  return context.gradients ? trained : trained.detach();
}

float LearnedQuantizer::low() const {
  if (!has_sign()) return 0.0f;
  const auto half = static_cast<float>(1 << (spec().bits - 1));
  const bool narrow = spec().narrow_range || std::holds_alternative<Pact>(spec().range);
  return narrow ? 1.0f - half : -half;
}

float LearnedQuantizer::high() const {
  if (has_sign()) return static_cast<float>((1 << (spec().bits - 1)) - 1);
  return static_cast<float>((1 << spec().bits) - (spec().narrow_range ? 2 : 1));
}

void LearnedQuantizer::set_bits(int bits) {
  const float before = high() - low();
  SpecQuantizer::set_bits(bits);
  stretch(before / (high() - low()));
}

Tensor LearnedQuantizer::limit(float level) const {
  return Tensor::full({ranges()}, level);
}

float LearnedQuantizer::gradient_factor(const Shape& x) const {
  const std::int64_t images = role_ == TensorRole::activation ? x[0] : 1;
  const double values = static_cast<double>(x.size()) / static_cast<double>(images * ranges());
  return static_cast<float>(1.0 / std::sqrt(values * double{high()}));
}

std::vector<QuantGrid> LearnedQuantizer::grids() const {
  if (!initialised()) return {};
  std::vector<QuantGrid> result;
  const Tensor step = steps();
  for (const float s : std::as_const(step).values()) {
    result.push_back({.nudged_min = low() * s,
                      .nudged_max = high() * s,
                      .scale = s,
                      .inverse_scale = 1.0f / s,
                      .zero_point = has_sign() ? static_cast<float>(1 << (spec().bits - 1)) : 0.0f,
                      .zero_range = false});
  }
  return result;
}

void LsqQuantizer::create_state(const Shape& ranges) {
  scale_ = trained(ranges);
}

void LsqQuantizer::observe(const Tensor& x, const Context& context) {
  LearnedQuantizer::observe(x, context);
  hold_positive(scale_);
}

void LsqQuantizer::start(const Tensor& rows) {
  scale_.mutable_value() = of_rows(rows, scale_.shape(), [this](std::span<const float> row) {
    return 2.0 * mean_magnitude(row) / std::sqrt(double{high()});
  });
}

Variable LsqQuantizer::quantize_started(const Variable& x, const Context& context) {
  const Variable scale = scale_gradient(used(scale_, context), gradient_factor(x.shape()));
  return step_quant(x, scale, {}, limit(low()), limit(high()),
                    step_options(axes(), spec(), context));
}

void LsqQuantizer::stretch(float factor) {
  for (float& scale : scale_.mutable_value().values()) scale *= factor;
}

void LsqQuantizer::visit_trained(Visitor& visitor) {
  visitor.weight("scale", scale_);
}

void LsqPlusQuantizer::create_state(const Shape& ranges) {
  LsqQuantizer::create_state(ranges);
  if (role() == TensorRole::activation) offset_ = Variable(Tensor::zeros(ranges), true);
}

void LsqPlusQuantizer::start(const Tensor& rows) {
  if (role() == TensorRole::weight) {
    scale_.mutable_value() = of_rows(rows, scale_.shape(), [this](std::span<const float> row) {
      return three_deviations(row) / static_cast<double>(1 << (spec().bits - 1));
    });
    return;
  }
  const auto extremes = [](std::span<const float> row) {
    const auto [min, max] = std::ranges::minmax(row);
    return std::pair(double{min}, double{max});
  };
  scale_.mutable_value() = of_rows(rows, scale_.shape(), [&](std::span<const float> row) {
    const auto [min, max] = extremes(row);
    return (max - min) / double{high() - low()};
  });
  Tensor offsets(offset_.shape());
  for (std::int64_t i = 0; i < offsets.size(); ++i) {
    const auto size = static_cast<std::size_t>(rows.shape()[1]);
    const auto [min, max] = extremes({rows.data() + i * rows.shape()[1], size});
    offsets.data()[i] = static_cast<float>(min - double{low() * scale_.value().data()[i]});
  }
  offset_.mutable_value() = offsets;
}

Variable LsqPlusQuantizer::quantize_started(const Variable& x, const Context& context) {
  if (!offset_.defined()) return LsqQuantizer::quantize_started(x, context);
  const float factor = gradient_factor(x.shape());
  return step_quant(x, scale_gradient(used(scale_, context), factor),
                    scale_gradient(used(offset_, context), factor), limit(low()), limit(high()),
                    step_options(axes(), spec(), context));
}

void LsqPlusQuantizer::visit_trained(Visitor& visitor) {
  LsqQuantizer::visit_trained(visitor);
  if (role() == TensorRole::activation) visitor.weight("offset", offset_);
}

std::vector<QuantGrid> LsqPlusQuantizer::grids() const {
  return offset_.defined() ? std::vector<QuantGrid>{} : LsqQuantizer::grids();
}

void PactQuantizer::create_state(const Shape& ranges) {
  clip_ = trained(ranges);
}

void PactQuantizer::observe(const Tensor& x, const Context& context) {
  LearnedQuantizer::observe(x, context);
  hold_positive(clip_);
}

void PactQuantizer::start(const Tensor& rows) {
  const float given = std::get<Pact>(spec().range).start;
  clip_.mutable_value() = of_rows(rows, clip_.shape(), [&](std::span<const float> row) {
    return role() == TensorRole::weight ? largest_magnitude(row) : double{given};
  });
}

Variable PactQuantizer::quantize_started(const Variable& x, const Context& context) {
  const Variable clip = used(clip_, context);
  const Variable min = has_sign() ? multiply(clip, Variable(Tensor::scalar(-1.0f)))
                                  : Variable(Tensor::zeros(clip.shape()));
  return fake_quant(x, min, clip,
                    {.bits = spec().bits, .narrow_range = has_sign(), .axes = axes()});
}

void PactQuantizer::visit_trained(Visitor& visitor) {
  visitor.weight("clip", clip_);
}

Tensor PactQuantizer::steps() const {
  Tensor result(clip_.shape());
  for (std::int64_t i = 0; i < result.size(); ++i) {
    result.data()[i] = clip_.value().data()[i] / high();
  }
  return result;
}

void TqtQuantizer::create_state(const Shape& ranges) {
  log2_threshold_ = trained(ranges);
}

void TqtQuantizer::start(const Tensor& rows) {
  const Tensor thresholds =
      of_rows(rows, log2_threshold_.shape(), [this](std::span<const float> row) {
        if (role() == TensorRole::weight) return three_deviations(row);
        const SearchRange found = entropy_range(row, entropy_bins, spec().bits);
        return std::max(double{found.max}, -double{found.min});
      });
  Tensor logs(thresholds.shape());
  for (std::int64_t i = 0; i < logs.size(); ++i) logs.data()[i] = std::log2(thresholds.data()[i]);
  log2_threshold_.mutable_value() = logs;
}

Tensor TqtQuantizer::steps() const {
  Tensor result(log2_threshold_.shape());
  const int halvings = has_sign() ? spec().bits - 1 : spec().bits;
  for (std::int64_t i = 0; i < result.size(); ++i) {
    const float exponent = std::ceil(log2_threshold_.value().data()[i]);
    result.data()[i] = std::ldexp(1.0f, static_cast<int>(exponent) - halvings);
  }
  return result;
}

Variable TqtQuantizer::quantize_started(const Variable& x, const Context& context) {
  const Tensor step = steps();
  const Variable scale = Variable::from_op("tqt_scale", step, {used(log2_threshold_, context)},
                                           [step](Tensor dy) -> std::vector<Tensor> {
                                             Tensor result(step.shape());
                                             for (std::int64_t i = 0; i < result.size(); ++i) {
                                               result.data()[i] = dy.data()[i] *
                                                                  std::as_const(step).data()[i] *
                                                                  std::numbers::ln2_v<float>;
                                             }
                                             return {std::move(result)};
                                           });
  return step_quant(x, scale, {}, limit(low()), limit(high()),
                    step_options(axes(), spec(), context));
}

void TqtQuantizer::visit_trained(Visitor& visitor) {
  visitor.weight("log2_threshold", log2_threshold_);
}

}  // namespace perch
