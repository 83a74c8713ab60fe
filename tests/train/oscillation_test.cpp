// Weights that hop between levels, against a plain reference.
#include <cmath>
#include <functional>

#include <tests/support/errors.h>
#include <tests/train/fixtures.h>

#include <perch/train/oscillation.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

// Levels -1, -0.5, 0, 0.5, 1 and so on: a fixed range of 16 levels.
const QuantSpec halves{.bits = 4, .range = Fixed{-4.0f, 3.5f}};

Sequential dense_net(const QuantSpec& spec) {
  Sequential model{Dense(2, {.use_bias = false})};
  model.set_name("net");
  model.build({2});
  apply_in_place(model, {{"dense", {.weights = {{"kernel", spec}}}}},
                 {.input_quantizer = std::nullopt, .output_quantizers = false});
  return model;
}

Tensor& kernel_of(Model& model) {
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_dense"));
  return find_weight(wrapper.layer(), "kernel")->mutable_value();
}

/// Tells a callback of steps after which the four weights are what `weights` says.
EpochResult run(Callback& callback, Model& model, std::int64_t steps,
                const std::function<float(std::int64_t step, std::int64_t weight)>& weights,
                const std::function<void()>& after = {}) {
  Trainer trainer(model, Sgd({.learning_rate = 0.1f}), sparse_categorical_crossentropy());
  callback.on_train_begin(trainer, {.epochs = 1, .batches = steps});
  for (std::int64_t step = 0; step < steps; ++step) {
    for (std::int64_t i = 0; i < 4; ++i) kernel_of(model).data()[i] = weights(step, i);
    callback.on_batch_end(trainer, {});
    if (after) after();
  }
  EpochResult result;
  callback.complete(result);
  return result;
}

/// Weight 0 rests, 1 walks upwards, 2 hops in every step, 3 in every fourth.
float path(std::int64_t step, std::int64_t weight) {
  const auto at = static_cast<float>(step);
  switch (weight) {
    case 0:
      return 0.1f;
    case 1:
      return -4.0f + 0.05f * at;
    case 2:
      return step % 2 == 0 ? 0.2f : 0.3f;
    default:
      return step % 4 < 2 ? 1.2f : 1.3f;
  }
}

/// The paper's formulas in double.
double frequency(std::int64_t steps, std::int64_t weight, double momentum) {
  double f = 0.0, direction = 0.0, before = 0.0;
  for (std::int64_t step = 0; step < steps; ++step) {
    const double level = std::floor(static_cast<double>(path(step, weight)) / 0.5 + 0.5);
    const double change = step == 0 ? 0.0 : level - before;
    const double o = change * direction < 0.0 ? 1.0 : 0.0;
    if (step > 0) f = momentum * o + (1.0 - momentum) * f;
    if (change != 0.0) direction = change;
    before = level;
  }
  return f;
}

}  // namespace

TEST_CASE("the share of oscillating weights follows the frequencies") {
  constexpr std::int64_t steps = 60;
  constexpr float momentum = 0.1f;
  std::vector<double> expected;
  for (std::int64_t i = 0; i < 4; ++i) expected.push_back(frequency(steps, i, momentum));
  CHECK(expected[0] == 0.0);
  CHECK(expected[1] == 0.0);
  CHECK(expected[2] > expected[3]);
  CHECK(expected[3] > 0.1);
  for (const float limit :
       {0.0f, static_cast<float>(expected[3]) - 1e-3f, static_cast<float>(expected[3]) + 1e-3f,
        static_cast<float>(expected[2]) - 1e-3f, static_cast<float>(expected[2]) + 1e-3f}) {
    Sequential model = dense_net(halves);
    const auto callback = oscillation({.momentum = momentum, .reported_above = limit});
    double above = 0.0;
    for (const double f : expected) above += f > double{limit} ? 0.25 : 0.0;
    CHECK(run(*callback, model, steps, path).oscillating == above);
  }
}

TEST_CASE("a frozen weight stays on the level where it mostly was") {
  Sequential model = dense_net(halves);
  const auto callback = oscillation({.momentum = 0.1f, .freeze_above = 0.05f});
  std::vector<float> third;
  // Three steps of four on level 0.5.
  const auto mostly = [](std::int64_t step, std::int64_t weight) {
    if (weight != 2) return path(step, weight);
    return step % 4 == 0 ? 0.2f : 0.4f;
  };
  run(*callback, model, 80, mostly, [&] { third.push_back(kernel_of(model).data()[2]); });
  CHECK(third.back() == 0.5f);
  const auto since = std::ranges::find(third, 0.5f);
  CHECK(since > third.begin() + 4);  // the threshold begins at ten times its last value
  CHECK(std::all_of(since, third.end(), [](float w) { return w == 0.5f; }));
  CHECK(kernel_of(model).data()[0] == 0.1f);
}

TEST_CASE("dampening adds the gradient of the squared distance, within the range") {
  Sequential model = dense_net(halves);
  const auto callback = oscillation({.dampen = 0.25f});
  Trainer trainer(model, Sgd({.learning_rate = 0.1f}), sparse_categorical_crossentropy());
  callback->on_train_begin(trainer, {.epochs = 1, .batches = 1});
  const std::vector<float> weights{0.1f, -0.2f, 3.6f, -3.9f};
  std::ranges::copy(weights, kernel_of(model).data());
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_dense"));
  Variable& kernel = *find_weight(wrapper.layer(), "kernel");
  callback->on_gradients(trainer);
  CHECK(kernel.take_grad().values()[0] == 0.0f);  // rises from 0
  callback->on_batch_end(trainer, {});
  callback->on_gradients(trainer);
  const Tensor gradient = kernel.take_grad();
  for (std::size_t i = 0; i < 4; ++i) {
    const double w = double{weights[i]}, q = std::floor(w / 0.5 + 0.5) * 0.5;
    const double expected = w > 3.5 ? 0.0 : 2.0 * 0.25 * (w - q);
    CHECK(gradient.values()[i] == Approx(expected).margin(1e-6));
  }
}

TEST_CASE("dampened weights end nearer to their levels, and training reports the share") {
  std::vector<double> distances;
  for (const float strength : {0.0f, 5.0f}) {
    Sequential model = small_net();
    const QuantSpec spec{.bits = 3,
                         .granularity = per_channel,
                         .symmetric = true,
                         .narrow_range = true,
                         .range = LastValue{}};
    apply_in_place(model, {{"conv2d", {.weights = {{"kernel", spec}}}}}, {});
    Trainer trainer(model, Sgd({.learning_rate = 0.05f}),
                    sparse_categorical_crossentropy({.from_logits = false}));
    const History history = trainer.fit(
        small_data(),
        {.epochs = 6, .batch_size = 16, .callbacks = {oscillation({.dampen = strength})}});
    CHECK(history.epochs.back().oscillating.has_value());
    auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
    const Weights plain = wrapper.plain_weights({}, {}, {});
    const Weights quantized = wrapper.quantized_weights(plain, {});
    double sum = 0.0;
    for (std::int64_t i = 0; i < plain["kernel"].value().size(); ++i) {
      sum += std::abs(double{plain["kernel"].value().data()[i]} -
                      double{quantized["kernel"].value().data()[i]});
    }
    distances.push_back(sum);
  }
  CHECK(distances[1] < 0.5 * distances[0]);
}

TEST_CASE("what cannot oscillate between even levels is refused by name") {
  const auto begin = [](const QuantSpec& spec) {
    Sequential model = dense_net(spec);
    return error_of(ErrorCode::usage,
                    [&] { run(*oscillation(), model, 1, [](auto, auto) { return 0.0f; }); });
  };
  CHECK_THAT(begin({.bits = 2, .range = Ternary{}}), Contains("quant_dense: ternary"));
  CHECK_THAT(begin({.range = LastValue{}, .observe_only = true}), Contains("no quantized weight"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { oscillation({.dampen = -1.0f}); }),
             Contains("must not be negative"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { oscillation({.freeze_above = 0.0f}); }),
             Contains("(0, 1]"));
}
