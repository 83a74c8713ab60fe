// AdaRound: less error than the nearest levels, on the grid, which stays.
#include <catch2/catch.hpp>
#include <tests/ptq/nets.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/interrupt.h>
#include <perch/layers/spec.h>
#include <perch/ptq/ptq.h>
#include <perch/ptq/reestimate.h>
#include <perch/ptq/soft_rounding.h>
#include <perch/quant/range_quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

const AdaRoundOptions quick{
    .images = 64, .iterations = 150, .batch_size = 16, .learning_rate = 0.05f};

Quantizer& kernel_quantizer(Model& model, const std::string& layer) {
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_" + layer));
  return *wrapper.quantizers().at(main_weight(wrapper.layer().kind()));
}

}  // namespace

TEST_CASE("rounding that is learned has less error than the nearest and lies on the grid") {
  const std::vector<std::pair<std::string, std::string>> layers{
      {"conv2d", "conv2d/kernel"},
      {"depthwise_conv2d", "depthwise_conv2d/depthwise_kernel"},
      {"dense", "dense/kernel"}};
  for (const Granularity& granularity : {per_tensor, per_channel, per_group(-2, 3)}) {
    Sequential model = separable_net();
    Sequential reference = clone(model);
    apply_rules(model, kernels({.bits = 3, .granularity = granularity, .range = LastValue{}}));
    const Dataset data = images(64);
    calibrate(model, data, {.images = 64});
    std::map<std::string, std::vector<float>> ranges;
    const auto range_of_kernel = [&](const std::string& layer) {
      const auto& quantizer = dynamic_cast<RangeQuantizer&>(kernel_quantizer(model, layer));
      std::vector<float> all(quantizer.min().values().begin(), quantizer.min().values().end());
      all.insert(all.end(), quantizer.max().values().begin(), quantizer.max().values().end());
      return all;
    };
    for (const auto& [layer, kernel] : layers) ranges[layer] = range_of_kernel(layer);
    const double before = relative_error(output_of(model, data), output_of(reference, data));
    const std::vector<AdaRoundLayer> done = adaround(model, reference, data, quick);
    REQUIRE(done.size() == 3);
    for (std::size_t i = 0; i < done.size(); ++i) {
      CAPTURE(done[i].name, done[i].nearest, done[i].chosen, done[i].moved);
      CHECK(done[i].name == layers[i].first);
      // What the layers before get wrong, no rounding of this one puts right.
      CHECK(done[i].chosen < (i == 0 ? 0.5 : 0.95) * done[i].nearest);
      CHECK(done[i].moved > 0.01);
    }
    CHECK(relative_error(output_of(model, data), output_of(reference, data)) < 0.8 * before);

    // Training and calibration keep the grid, and its points.
    calibrate(model, data, {.images = 32});
    for (const auto& [layer, name] : layers) {
      const Tensor kernel = state(model, name).clone();
      const Context training = Context::for_training(0, 0);
      const Variable again = kernel_quantizer(model, layer).run(Variable(kernel), training);
      CHECK(bit_difference(again.value(), kernel) == "");
      CHECK(range_of_kernel(layer) == ranges[layer]);
    }
  }
}

TEST_CASE("the weights between two levels begin at the float ones and have their gradients") {
  Tensor weight({3, 4});
  Random(1, "weight").fill_uniform(weight.values());
  weight.data()[5] = 2.0f;  // beyond the grid
  RangeQuantizer quantizer({.bits = 3, .granularity = per_channel, .range = Fixed{0.0f, 1.5f}});
  quantizer.build(weight.shape(), {1});
  const SoftRounding rounding(weight, quantizer, {1});
  const Variable v(rounding.start(), true);
  const Tensor start = rounding.soft(v).value().clone();
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    CHECK(start.values()[static_cast<std::size_t>(i)] ==
          Approx(std::min(weight.data()[i], 1.5f)).margin(1e-6));
  }
  CHECK(rounding.moved(rounding.start()) == 0.0);

  // Both gradients beside differences.
  const auto numeric = [&](std::int64_t i, const auto& f) {
    constexpr float step = 1e-2f;
    Tensor up = v.value().clone(), down = v.value().clone();
    up.data()[i] += step;
    down.data()[i] -= step;
    return (f(Variable(up)) - f(Variable(down))) / (2.0 * static_cast<double>(step));
  };
  const auto sum = [&](const Variable& at) {
    double total = 0.0;
    for (const float value : rounding.soft(at).value().values())
      total += static_cast<double>(value);
    return total;
  };
  const auto penalty = [&](const Variable& at) {
    return static_cast<double>(rounding_penalty(at, 3.0f, 0.5f).value().item());
  };
  rounding.soft(v).backward(Tensor::full(weight.shape(), 1.0f));
  const Tensor of_sum = Variable(v).take_grad();
  rounding_penalty(v, 3.0f, 0.5f).backward();
  const Tensor of_penalty = Variable(v).take_grad();
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    CHECK(of_sum.data()[i] == Approx(numeric(i, sum)).margin(1e-3));
    CHECK(of_penalty.data()[i] == Approx(numeric(i, penalty)).margin(1e-3));
  }
}

TEST_CASE("the same seed rounds the same way") {
  const Dataset data = images(32);
  const auto rounded = [&](std::uint64_t seed) {
    Sequential model = separable_net();
    Sequential reference = clone(model);
    apply_rules(model, kernels({.bits = 3}));
    calibrate(model, data, {.images = 32});
    adaround(
        model, reference, data,
        {.images = 32, .iterations = 60, .batch_size = 4, .learning_rate = 0.05f, .seed = seed});
    return state(model, "dense/kernel").clone();
  };
  const Tensor first = rounded(0);
  CHECK(bit_difference(rounded(0), first) == "");
  CHECK(bit_difference(rounded(1), first) != "");
}

TEST_CASE("AdaRound refuses what it cannot round") {
  const Dataset data = images(8);
  Sequential model = separable_net();
  Sequential reference = clone(model);
  apply_rules(model, kernels({.bits = 2, .range = Lsq{}}));
  calibrate(model, data, {.images = 8});
  const auto message = [&](const AdaRoundOptions& options) {
    return error_of(ErrorCode::usage, [&] { adaround(model, reference, data, options); });
  };
  CHECK_THAT(message({.images = 8}), Catch::Contains("grid of a range"));
  CHECK_THAT(message({.images = 8, .iterations = 0}), Catch::Contains("0 iterations"));
  CHECK_THAT(message({.images = 8, .beta_from = 2.0f, .beta_to = 3.0f}), Catch::Contains("beta"));
  CHECK_THAT(message({.images = 8, .warm_start = 2.0f}), Catch::Contains("warm start"));
}

TEST_CASE("all that runs for long behind training stops where a stop is asked for") {
  struct Clear {
    ~Clear() { clear_interrupt(); }
  } const clear;
  Sequential model = separable_net();
  Sequential reference = clone(model);
  const Dataset data = images(64);
  apply_rules(model, kernels({.bits = 3, .range = LastValue{}}));
  // Amid AdaRound, behind its first layer.
  AdaRoundOptions options = quick;
  int layers = 0;
  options.on_layer = [&](const AdaRoundLayer&) {
    ++layers;
    request_interrupt();
  };
  const auto stopped = [](const auto& work) { error_of(ErrorCode::interrupted, work); };
  stopped([&] { adaround(model, reference, data, options); });
  CHECK(layers == 1);
  stopped([&] { calibrate(model, data, {.images = 64}); });
  stopped([&] { correct_biases(model, reference, data, {.images = 64}); });
  stopped([&] { reestimate_batch_norm(model, data, {.images = 64}); });
}
