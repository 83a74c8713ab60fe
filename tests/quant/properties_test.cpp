// What every quantizer promises, over all of its settings.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <catch2/catch.hpp>
#include <rapidcheck.h>
#include <tests/support/bits.h>
#include <tests/support/reference_quant.h>

#include <perch/core/kernels/table.h>
#include <perch/core/random.h>
#include <perch/quant/quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

const Shape kernel{3, 2, 4, 6};
const std::vector<int> channels{3};

std::vector<RangePolicy> policies() {
  return {AllValues{},  LastValue{},    MovingAverage{}, Fixed{-0.4f, 0.7f},
          Percentile{}, HistogramMse{}, Entropy{},       LeastError{},
          Lsq{},        LsqPlus{},      Pact{},          Tqt{},
          DoReFa{},     Binary{},       Ternary{},       PowerOfTwo{}};
}

struct Case {
  QuantSpec spec;
  TensorRole role = TensorRole::weight;
  std::uint64_t seed = 0;
};

bool valid(const QuantSpec& spec) {
  try {
    validate(spec);
    return true;
  } catch (const Error&) {
    return false;
  }
}

template <class T>
T one_of(const std::vector<T>& values) {
  return values[*rc::gen::inRange<std::size_t>(0, values.size())];
}

/// Any setting that means something.
Case any_case() {
  for (;;) {
    Case drawn;
    drawn.role = *rc::gen::arbitrary<bool>() ? TensorRole::weight : TensorRole::activation;
    const RangePolicy policy = one_of(policies());
    drawn.spec = {.bits = *rc::gen::inRange(1, 17),
                  .granularity = one_of<Granularity>(
                      {per_tensor, per_channel, per_axes({0, 2}), per_group(2, 2)}),
                  .symmetric = *rc::gen::arbitrary<bool>(),
                  .narrow_range = *rc::gen::arbitrary<bool>(),
                  .range = drawn.role == TensorRole::activation ? for_activations(policy) : policy};
    drawn.spec.rounding = one_of<Rounding>({Rounding::half_up, Rounding::half_even});
    drawn.spec.power_of_two_scale = *rc::gen::inRange(0, 4) == 0;
    if (!valid(drawn.spec)) drawn.spec.bits = natural_bits(drawn.spec.range);
    drawn.seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 20);
    if (valid(drawn.spec)) return drawn;
  }
}

/// Values of the size of weights; a third of the draws has no negative one.
Tensor draw(std::uint64_t seed, const char* stream) {
  const Random random(seed, stream);
  Tensor x(kernel);
  const float low = seed % 3 == 0 ? 0.0f : -0.6f;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), low, 0.9f);
  }
  return x;
}

std::unique_ptr<Quantizer> trained(const Case& drawn) {
  auto quantizer = make_quantizer(drawn.spec, drawn.role);
  quantizer->build(kernel, channels);
  for (std::uint64_t step = 0; step < 3; ++step) {
    quantizer->run(Variable(draw(drawn.seed + 7 * step, "training")), {.training = true});
  }
  return quantizer;
}

Tensor quantize(Quantizer& quantizer, const Tensor& x) {
  return quantizer.run(Variable(x), Context::for_inference()).value();
}

std::string text(const Case& drawn) {
  return fmt::format(
      "{} {} bits, granularity {}, symmetric {}, narrow {}, half_even {}, po2 {}, {}, seed {}",
      policy_name(drawn.spec.range), drawn.spec.bits, static_cast<int>(drawn.spec.granularity.kind),
      drawn.spec.symmetric, drawn.spec.narrow_range, drawn.spec.rounding == Rounding::half_even,
      drawn.spec.power_of_two_scale, drawn.role == TensorRole::weight ? "weight" : "activation",
      drawn.seed);
}

/// Their levels depend on the very values that are quantized.
bool without_range(const RangePolicy& policy, TensorRole role) {
  return std::holds_alternative<Binary>(policy) || std::holds_alternative<Ternary>(policy) ||
         std::holds_alternative<PowerOfTwo>(policy) ||
         (std::holds_alternative<DoReFa>(policy) && role == TensorRole::weight);
}

/// The range that each element belongs to.
std::vector<std::size_t> ranges_of(const Quantizer& quantizer) {
  const Granularity& granularity = quantizer.spec().granularity;
  const RangeAxes axes = range_axes(granularity, kernel, channels);
  const Shape cut = axes.cut ? Shape(axes.cut_extents(kernel, granularity.group_size)) : kernel;
  const auto indices = reference::range_indices(cut, quantizer.axes());
  return {indices.begin(), indices.end()};
}

}  // namespace

TEST_CASE("quantized values are at most 2^bits levels for each range, in the values' order") {
  CHECK(rc::check([] {
    const Case drawn = any_case();
    RC_LOG(text(drawn));
    const auto quantizer = trained(drawn);
    const Tensor x = draw(drawn.seed + 1, "values"), y = quantize(*quantizer, x);
    const std::vector<std::size_t> range = ranges_of(*quantizer);
    std::map<std::size_t, std::vector<std::pair<float, float>>> values;
    for (std::int64_t i = 0; i < x.size(); ++i) {
      values[range[static_cast<std::size_t>(i)]].emplace_back(x.data()[i], y.data()[i]);
    }
    for (auto& [index, pairs] : values) {
      std::ranges::sort(pairs);
      std::set<float> levels;
      for (const auto& [from, to] : pairs) levels.insert(to);
      RC_ASSERT(static_cast<double>(levels.size()) <= std::pow(2.0, quantizer->spec().bits));
      for (std::size_t i = 1; i < pairs.size(); ++i) {
        RC_ASSERT(pairs[i - 1].second <= pairs[i].second);
      }
    }
  }));
}

TEST_CASE("quantizing again changes nothing, and zero stays zero where the grid has it") {
  CHECK(rc::check([] {
    const Case drawn = any_case();
    if (without_range(drawn.spec.range, drawn.role)) return;
    RC_LOG(text(drawn));
    const auto quantizer = trained(drawn);
    Tensor x = draw(drawn.seed + 1, "values");
    x.data()[0] = 0.0f;
    const Tensor once = quantize(*quantizer, x), twice = quantize(*quantizer, once);
    // A level times a step, divided by it, may miss the level's float by a bit.
    for (std::int64_t i = 0; i < x.size(); ++i) {
      RC_ASSERT(std::abs(double{twice.data()[i]} - double{once.data()[i]}) <=
                1e-6 * std::max(1.0, std::abs(double{once.data()[i]})));
    }
    const bool offset =
        std::holds_alternative<LsqPlus>(drawn.spec.range) && drawn.role == TensorRole::activation;
    const bool one_sided = drawn.spec.bits == 1;
    if (!offset && !one_sided) RC_ASSERT(once.data()[0] == 0.0f);
  }));
}

TEST_CASE("every instruction set gives the same bits") {
  CHECK(rc::check([] {
    const Case drawn = any_case();
    RC_LOG(text(drawn));
    const Tensor x = draw(drawn.seed + 1, "values");
    std::vector<Tensor> results;
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      const auto quantizer = trained(drawn);
      results.push_back(quantize(*quantizer, x));
    }
    for (const Tensor& result : results) RC_ASSERT(bit_difference(result, results.front()) == "");
  }));
}

TEST_CASE("slices are quantized alone as they are among others") {
  CHECK(rc::check([] {
    Case drawn = any_case();
    drawn.spec.granularity = per_channel;
    RC_LOG(text(drawn));
    const auto all = trained(drawn);
    const Tensor x = draw(drawn.seed + 1, "values"), y = quantize(*all, x);
    const Shape slice{3, 2, 4, 1};
    const auto cut = [&](const Tensor& from, std::int64_t channel) {
      Tensor part(slice);
      for (std::int64_t i = 0; i < part.size(); ++i) part.data()[i] = from.data()[i * 6 + channel];
      return part;
    };
    const std::int64_t channel = *rc::gen::inRange<std::int64_t>(0, 6);
    const auto one = make_quantizer(drawn.spec, drawn.role);
    one->build(slice, channels);
    for (std::uint64_t step = 0; step < 3; ++step) {
      const Tensor seen = draw(drawn.seed + 7 * step, "training");
      one->run(Variable(cut(seen, channel)), {.training = true});
    }
    RC_ASSERT(bit_difference(quantize(*one, cut(x, channel)), cut(y, channel)) == "");
  }));
}
