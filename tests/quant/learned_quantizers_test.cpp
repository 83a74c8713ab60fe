// Trained ranges against the papers' formulas in double.
#include <algorithm>
#include <array>
#include <cmath>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/reference_quant.h>

#include <perch/core/random.h>
#include <perch/layers/state.h>
#include <perch/quant/learned_quantizers.h>

using namespace perch;
using namespace perch::test;

namespace {

/// A quantizer's state by name.
class State final : public Visitor {
 public:
  explicit State(Quantizer& quantizer) { quantizer.visit(*this); }
  void weight(std::string_view name, Variable& value) override {
    weights[std::string(name)] = &value;
  }
  void counter(std::string_view name, std::int32_t& value) override {
    counters[std::string(name)] = value;
  }
  std::map<std::string, Variable*> weights;
  std::map<std::string, std::int32_t> counters;
};

Tensor values(const Shape& shape, const char* stream, float low, float high) {
  const Random random(4, stream);
  Tensor x(shape);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), low, high);
  }
  return x;
}

const Context training = Context::for_training(0, 0);

/// Elements of one range and what an LSQ step makes of them, in double.
struct Reference {
  double scale = 1, offset = 0, low = 0, high = 0;
  double dscale = 0, doffset = 0;

  void add(float x, float dy) {
    const double place = (double{x} - offset) / scale;
    const double level = std::clamp(std::floor(place + 0.5), low, high);
    const bool below = place<low, above = place> high;
    dscale += double{dy} * (below ? low : above ? high : level - place);
    doffset += below || above ? double{dy} : 0.0;
  }
};

const Shape kernel{3, 3, 4, 6};

}  // namespace

TEST_CASE("LSQ starts, rounds and learns by its paper's formulas, per channel too") {
  const int bits = GENERATE(2, 4, 8);
  const bool narrow = GENERATE(false, true), channels = GENERATE(false, true);
  CAPTURE(bits, narrow, channels);
  LsqQuantizer quantizer({.bits = bits,
                          .granularity = channels ? per_channel : per_tensor,
                          .narrow_range = narrow,
                          .range = Lsq{}},
                         TensorRole::weight);
  quantizer.build(kernel, {3});
  const Variable x(values(kernel, "x", -0.3f, 0.4f), true);
  const Variable y = quantizer(x, training);
  const Tensor dy = values(kernel, "dy", -1.0f, 1.0f);
  y.backward(dy);

  const auto rows = reference::range_indices(kernel, quantizer.axes());
  const std::size_t count = channels ? 6 : 1;
  const double high = std::pow(2.0, bits - 1) - 1, low = narrow ? -high : -high - 1;
  std::vector<double> magnitudes(count);
  const double size = static_cast<double>(kernel.size()) / static_cast<double>(count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    magnitudes[static_cast<std::size_t>(rows[i])] += std::abs(double{x.value().values()[i]});
  }
  Variable& scale = *State(quantizer).weights.at("scale");
  REQUIRE(scale.value().size() == static_cast<std::int64_t>(count));
  std::vector<Reference> expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float found = scale.value().values()[i];
    CHECK(double{found} == Approx(2 * magnitudes[i] / size / std::sqrt(high)));
    expected[i] = {.scale = double{found}, .low = low, .high = high};
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    expected[static_cast<std::size_t>(rows[i])].add(x.value().values()[i], dy.values()[i]);
  }
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(double{scale.grad().values()[i]} ==
          Approx(expected[i].dscale / std::sqrt(size * high)).margin(1e-5));
  }
  const auto grids = quantizer.grids();
  REQUIRE(grids.size() == count);
  CHECK(double{grids[0].nudged_min} == Approx(low * expected[0].scale));
  CHECK(double{grids[0].nudged_max} == Approx(high * expected[0].scale));
}

TEST_CASE("LSQ+ lays its first grid over the values and learns an offset") {
  LsqPlusQuantizer quantizer({.bits = 4, .range = LsqPlus{}}, TensorRole::activation);
  const Shape shape{5, 7, 7, 3};
  quantizer.build(shape, {3});
  const Variable x(values(shape, "x", -0.2f, 1.3f), true);
  const Variable first = quantizer(x, training);
  State state(quantizer);
  CHECK(state.counters.at("signed") == 1);
  const auto [min, max] = std::ranges::minmax(x.value().values());
  Variable &scale = *state.weights.at("scale"), &offset = *state.weights.at("offset");
  CHECK(scale.value().item() == Approx((max - min) / 15.0f));
  CHECK(offset.value().item() == Approx(min + 8.0f * (max - min) / 15.0f));

  // A tighter grid, so that values lie beyond both of its ends.
  scale.mutable_value() = Tensor::scalar(0.06f);
  offset.mutable_value() = Tensor::scalar(0.5f);
  const Variable y = quantizer(x, training);
  const Tensor dy = values(shape, "dy", -1.0f, 1.0f);
  y.backward(dy);
  Reference expected{.scale = 0.06, .offset = 0.5, .low = -8, .high = 7};
  for (std::size_t i = 0; i < dy.values().size(); ++i) {
    expected.add(x.value().values()[i], std::as_const(dy).values()[i]);
  }
  const double factor = 1.0 / std::sqrt(7 * 7 * 3 * 7.0);  // of one image
  CHECK(double{scale.grad().item()} == Approx(expected.dscale * factor).margin(1e-4));
  CHECK(double{offset.grad().item()} == Approx(expected.doffset * factor).margin(1e-4));
  CHECK(quantizer.grids().empty());
}

TEST_CASE("LSQ+ weights start at three standard deviations and have no offset") {
  LsqPlusQuantizer quantizer({.bits = 3, .range = LsqPlus{}}, TensorRole::weight);
  quantizer.build(kernel, {3});
  const Tensor x = values(kernel, "x", -0.3f, 0.5f);
  quantizer(Variable(x), training);
  double mean = 0, variance = 0;
  for (const float v : x.values()) mean += double{v} / static_cast<double>(x.size());
  for (const float v : x.values()) {
    variance += (double{v} - mean) * (double{v} - mean) / static_cast<double>(x.size());
  }
  State state(quantizer);
  CHECK(state.weights.size() == 1);
  CHECK(double{state.weights.at("scale")->value().item()} ==
        Approx((std::abs(mean) + 3 * std::sqrt(variance)) / 4));
}

TEST_CASE("PACT clips, and its clipping level gets what lies beyond it") {
  PactQuantizer quantizer({.bits = 3, .range = Pact{.start = 1.5f}}, TensorRole::activation);
  const Shape shape{4, 11};
  quantizer.build(shape, {1});
  const Variable x(values(shape, "x", 0.0f, 3.0f), true);
  const Variable y = quantizer(x, training);
  const Tensor dy = values(shape, "dy", -1.0f, 1.0f);
  y.backward(dy);
  State state(quantizer);
  CHECK(state.counters.at("signed") == 0);
  CHECK(state.weights.at("clip")->value().item() == 1.5f);
  double beyond = 0;
  for (std::size_t i = 0; i < dy.values().size(); ++i) {
    const double v = double{x.value().values()[i]}, clipped = std::clamp(v, 0.0, 1.5);
    const double level = std::floor(clipped * 7 / 1.5 + 0.5);
    CHECK(double{y.value().values()[i]} == Approx(level * 1.5 / 7).margin(1e-6));
    CHECK(x.grad().values()[i] == (v <= 1.5 ? std::as_const(dy).values()[i] : 0.0f));
    beyond += v > 1.5 ? double{std::as_const(dy).values()[i]} : 0.0;
  }
  CHECK(double{state.weights.at("clip")->grad().item()} == Approx(beyond).margin(1e-5));
}

TEST_CASE("PACT of weights is symmetric, from the largest magnitude on") {
  PactQuantizer quantizer({.bits = 3, .range = Pact{}}, TensorRole::weight);
  quantizer.build(kernel, {3});
  const Variable x(values(kernel, "x", -0.9f, 0.5f), true);
  const Variable first = quantizer(x, training);
  Variable& clip = *State(quantizer).weights.at("clip");
  CHECK(clip.value().item() == -*std::ranges::min_element(x.value().values()));
  clip.mutable_value() = Tensor::scalar(0.4f);
  const Variable y = quantizer(x, training);
  y.backward(Tensor::full(kernel, 1.0f));
  double expected = 0;
  for (std::size_t i = 0; i < x.value().values().size(); ++i) {
    const double v = double{x.value().values()[i]};
    expected += v > 0.4 ? 1 : v < -0.4 ? -1 : 0;
    CHECK(std::abs(y.value().values()[i]) <= 0.4001f);
  }
  CHECK(double{clip.grad().item()} == Approx(expected));
  CHECK(quantizer.grids().at(0).nudged_min == Approx(-0.4f));
}

TEST_CASE("TQT's scale is a power of two and its gradient LSQ's times s ln 2") {
  TqtQuantizer quantizer({.bits = 4, .range = Tqt{}}, TensorRole::weight);
  quantizer.build(kernel, {3});
  const Variable x(values(kernel, "x", -0.9f, 0.9f), true);
  const Variable first = quantizer(x, training);
  Variable& threshold = *State(quantizer).weights.at("log2_threshold");
  threshold.mutable_value() = Tensor::scalar(-0.7f);  // 2^ceil(-0.7) = 1
  const Variable y = quantizer(x, training);
  const Tensor dy = values(kernel, "dy", -1.0f, 1.0f);
  y.backward(dy);
  Reference expected{.scale = 1.0 / 8, .low = -8, .high = 7};
  for (std::size_t i = 0; i < dy.values().size(); ++i) {
    expected.add(x.value().values()[i], std::as_const(dy).values()[i]);
  }
  CHECK(double{threshold.grad().item()} ==
        Approx(expected.dscale / 8 * std::log(2.0)).margin(1e-5));
  CHECK(quantizer.grids().at(0).scale == 0.125f);
}

TEST_CASE("gradients of trained ranges are the slopes of the surrogates") {
  // In a surrogate rounding, and TQT's ceiling, add what they add at the point, which is constant.
  // theta: scale and offset, clip, or log2 of the threshold.
  using Theta = std::array<double, 2>;
  struct Surrogate {
    RangePolicy policy;
    TensorRole role;
    std::vector<const char*> names;
    Theta at;
    bool clips_only;  // PACT: what is inside does not depend on the clipping level
    bool exponent;    // TQT
    double weight;    // of the gradient, times sqrt(values)
  };
  const double top = 7.0;
  const Surrogate s = GENERATE_COPY(
      Surrogate{
          Lsq{}, TensorRole::weight, {"scale"}, {0.06, 0.0}, false, false, 1 / std::sqrt(7.0)},
      Surrogate{LsqPlus{},
                TensorRole::activation,
                {"scale", "offset"},
                {0.05, 0.1},
                false,
                false,
                1 / std::sqrt(7.0)},
      Surrogate{Pact{}, TensorRole::weight, {"clip"}, {0.4, 0.0}, true, false, 0.0},
      Surrogate{Tqt{}, TensorRole::weight, {"log2_threshold"}, {-1.3, 0.0}, false, true, 0.0});
  CAPTURE(policy_name(s.policy));
  const Shape shape{1, 8, 25};
  const Tensor data = values(shape, "x", -0.8f, 0.9f), dy = values(shape, "dy", -1.0f, 1.0f);

  const auto value = [&](const Theta& theta, double x) {
    const double low = s.clips_only ? -top : -8.0;
    const auto step_of = [&](double t) {
      if (s.clips_only) return t / top;
      return s.exponent ? std::exp2(t + (std::ceil(s.at[0]) - s.at[0])) / 8.0 : t;
    };
    const double step = step_of(theta[0]), step0 = step_of(s.at[0]);
    const double place0 = (x - s.at[1]) / step0;
    if (place0 < low) return low * step + theta[1];
    if (place0 > top) return top * step + theta[1];
    const double added = std::floor(place0 + 0.5) - place0;
    if (s.clips_only) return x + added * step0;
    return ((x - theta[1]) / step + added) * step + theta[1];
  };
  const auto loss = [&](const Theta& theta) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < data.size(); ++i) {
      sum += double{dy.data()[i]} * value(theta, double{data.data()[i]});
    }
    return sum;
  };

  const auto quantizer = make_quantizer({.bits = 4, .range = s.policy}, s.role);
  quantizer->build(shape, {2});
  quantizer->run(Variable(data), training);
  State state(*quantizer);
  for (std::size_t i = 0; i < s.names.size(); ++i) {
    state.weights.at(s.names[i])->mutable_value() = Tensor::scalar(static_cast<float>(s.at[i]));
  }
  const Variable y = quantizer->run(Variable(data), training);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    CHECK(double{y.value().data()[i]} == Approx(value(s.at, double{data.data()[i]})).margin(1e-5));
  }
  y.backward(dy);
  const double factor = s.weight > 0.0 ? s.weight / std::sqrt(200.0) : 1.0;
  for (std::size_t i = 0; i < s.names.size(); ++i) {
    constexpr double h = 1e-6;
    Theta above = s.at, below = s.at;
    above[i] += h;
    below[i] -= h;
    const double slope = (loss(above) - loss(below)) / (2 * h);
    CHECK(double{state.weights.at(s.names[i])->grad().item()} ==
          Approx(slope * factor).epsilon(1e-3).margin(1e-4));
  }
}

TEST_CASE("trained ranges change in training only, and not before they have seen values") {
  const RangePolicy policy =
      GENERATE(RangePolicy(Lsq{}), RangePolicy(LsqPlus{}), RangePolicy(Pact{}), RangePolicy(Tqt{}));
  const TensorRole role = GENERATE(TensorRole::weight, TensorRole::activation);
  CAPTURE(policy_name(policy));
  const auto quantizer = make_quantizer({.bits = 4, .range = policy}, role);
  const Shape shape{6, 5};
  quantizer->build(shape, {1});
  const Variable x(values(shape, "x", -1.0f, 1.0f));
  CHECK(bit_difference((*quantizer)(x, Context::for_inference()).value(), x.value()) == "");
  CHECK(State(*quantizer).counters.at("initialised") == 0);
  const Tensor trained = (*quantizer)(x, training).value();
  const Tensor inferred = (*quantizer)(x, Context::for_inference()).value();
  CHECK(bit_difference(inferred, trained) == "");
  std::vector<float> bad(30, 1.0f);
  bad[7] = std::numeric_limits<float>::infinity();
  const auto fresh = make_quantizer({.bits = 4, .range = policy}, role);
  fresh->build(shape, {1});
  CHECK_THAT(error_of(ErrorCode::usage, [&] { (*fresh)(Variable(Tensor(shape, bad)), training); }),
             Catch::Contains("NaN or an infinity"));
}
