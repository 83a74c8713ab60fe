// Quantizers that begin late and stop early.
#include <cmath>
#include <map>
#include <set>

#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/train/fixtures.h>

#include <perch/quant/wrapper.h>
#include <perch/train/quantization_schedule.h>

using namespace perch;
using namespace perch::test;

namespace {

Quantizer& quantizer_of(Model& model, const std::string& prefix) {
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
  return *wrapper.quantizers().at(prefix);
}

/// Notes after every step whether ranges moved, and the modes.
class Watch final : public Callback {
 public:
  void on_batch_end(Trainer& trainer, const BatchResult&) override {
    for (const char* const prefix : {"kernel", "post_activation"}) {
      const auto& quantizer = dynamic_cast<RangeQuantizer&>(quantizer_of(trainer.model(), prefix));
      Tensor& last = last_[prefix];
      const Tensor now = quantizer.max().clone();
      moved[prefix].push_back(!last.empty() && bit_difference(now, last) != "");
      last = now;
    }
  }
  std::map<std::string, std::vector<bool>> moved;

 private:
  std::map<std::string, Tensor> last_;
};

}  // namespace

TEST_CASE("activations are quantized from a step on and ranges stay from another on") {
  const bool fused = GENERATE(false, true);
  Sequential model = small_net();
  quantize(model);
  Trainer trainer(model, Sgd({.learning_rate = 0.1f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  trainer.set_fuse(fused);
  const auto watch = std::make_shared<Watch>();
  trainer.fit(
      small_data(),
      {.epochs = 2,
       .batch_size = 16,
       .callbacks = {watch, quantization_schedule({.activations_from = 7, .ranges_until = 5})}});
  // Eight steps; the first has nothing to compare with.
  for (const char* const prefix : {"kernel", "post_activation"}) {
    const std::vector<bool>& moved = watch->moved.at(prefix);
    REQUIRE(moved.size() == 8);
    for (std::size_t step = 5; step < 8; ++step) CHECK_FALSE(moved[step]);
  }
  CHECK(watch->moved.at("post_activation")[4]);
  CHECK(quantizer_of(model, "post_activation").mode.quantizes);
  CHECK_FALSE(quantizer_of(model, "post_activation").mode.observes);
  CHECK_FALSE(quantizer_of(model, "kernel").mode.observes);
  // Saved with the configuration.
  Sequential copy = clone(model);
  CHECK_FALSE(quantizer_of(copy, "kernel").mode.observes);
}

TEST_CASE("a quantizer that only observes lets values pass, fused and not") {
  const bool fused = GENERATE(false, true);
  Sequential model = small_net();
  quantize(model);
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.set_fuse(fused);
  trainer.fit(small_data(), {.epochs = 1, .batch_size = 16});
  const double quantized = trainer.evaluate(small_data()).loss;
  for (const char* const prefix : {"kernel", "post_activation"}) {
    quantizer_of(model, prefix).mode.quantizes = false;
  }
  dynamic_cast<QuantizeLayer&>(model.layer("quantize_layer")).quantizer().mode.quantizes = false;
  Sequential floating = small_net();
  const auto state = state_of(model);
  for (StateEntry& target : state_of(floating)) {
    for (const StateEntry& source : state) {
      if (source.name != target.name || target.tensor() == nullptr) continue;
      (target.weight != nullptr ? target.weight->mutable_value() : *target.buffer)
          .copy_from(*source.tensor());
    }
  }
  Trainer plain(floating, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  plain.set_fuse(fused);
  const double expected = plain.evaluate(small_data()).loss;
  CHECK(trainer.evaluate(small_data()).loss == Approx(expected).epsilon(1e-5));
  CHECK(quantized != expected);
}

TEST_CASE("a schedule that cannot be is refused") {
  Sequential model = small_net();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const auto fit = [&](const QuantizationSchedule& schedule) {
    return error_of(ErrorCode::usage, [&] {
      trainer.fit(small_data(), {.batch_size = 16, .callbacks = {quantization_schedule(schedule)}});
    });
  };
  CHECK_THAT(fit({.activations_from = -1}), Catch::Contains("must not be negative"));
  CHECK_THAT(fit({}), Catch::Contains("no quantizer"));
  quantize(model);
  CHECK_THAT(fit({.activations_from = 4}), Catch::Contains("only 4"));
  CHECK_THAT(fit({.activations_from = TrainTime::epochs(1)}), Catch::Contains("only 4"));
  CHECK_THAT(fit({.weight_bits = {{0, 8}, {2, 4}, {2, 3}}}), Catch::Contains("one after another"));
  CHECK_THAT(fit({.weight_bits = {{0, 8}, {2, 17}}}),
             Catch::Contains("quant_conv2d") && Catch::Contains("17 bits"));
  CHECK_THAT(fit({.weight_bits = {{9, 4}}}), Catch::Contains("only 4"));
}

TEST_CASE("moments of a training are steps or epochs") {
  CHECK(TrainTime::parse("500").step(7) == 500);
  CHECK(TrainTime::parse("1step").step(7) == 1);
  CHECK(TrainTime::parse("2epochs").step(7) == 14);
  CHECK(TrainTime::parse("0.5epochs").step(7) == 4);
  for (const char* const text : {"12", "1.5epochs", "0"}) {
    CHECK(TrainTime::parse(TrainTime::parse(text).text()).step(10) ==
          TrainTime::parse(text).step(10));
  }
  for (const char* const text : {"", "epochs", "-1", "1.5", "2 epochs", "3weeks", "nan", "1e99"}) {
    CAPTURE(text);
    CHECK_THAT(error_of(ErrorCode::usage, [&] { TrainTime::parse(text); }),
               Catch::Contains("no moment of a training"));
  }
}

TEST_CASE("statistics of batch normalisation stay from a moment on, the weights learn on") {
  const bool fused = GENERATE(false, true);
  Sequential model = small_net();
  quantize(model);
  struct Seen {
    Tensor mean, gamma;
  };
  class Watcher final : public Callback {
   public:
    void on_batch_end(Trainer& trainer, const BatchResult&) override {
      auto& norm = dynamic_cast<BatchNorm&>(trainer.model().layer("batch_normalization"));
      seen.push_back({norm.moving_mean().clone(), norm.own_weights({})["gamma"].value().clone()});
    }
    std::vector<Seen> seen;
  };
  const auto watcher = std::make_shared<Watcher>();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.set_fuse(fused);
  trainer.fit(small_data(),
              {.epochs = 2,
               .batch_size = 16,
               .callbacks = {
                   watcher, quantization_schedule({.batch_norm_until = TrainTime::epochs(1.25)})}});
  REQUIRE(watcher->seen.size() == 8);
  for (std::size_t i = 1; i < 8; ++i) {
    const Seen &now = watcher->seen[i], &before = watcher->seen[i - 1];
    CHECK((bit_difference(now.mean, before.mean) == "") == (i >= 5));
    CHECK(bit_difference(now.gamma, before.gamma) != "");
  }
  Sequential copy = clone(model);
  CHECK(dynamic_cast<BatchNorm&>(copy.layer("batch_normalization")).statistics_frozen());
}

TEST_CASE("frozen statistics train the same, fused and not") {
  std::vector<double> losses;
  for (const bool fused : {false, true}) {
    Sequential model = small_net();
    quantize(model);
    dynamic_cast<BatchNorm&>(model.layer("batch_normalization")).freeze_statistics(true);
    Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
    trainer.set_fuse(fused);
    losses.push_back(trainer.fit(small_data(), {.epochs = 2, .batch_size = 16}).epochs.back().loss);
  }
  CHECK(losses[0] == Approx(losses[1]).epsilon(1e-4));
}

TEST_CASE("widths follow one another and the last is the model's") {
  const RangePolicy policy =
      GENERATE(RangePolicy(AllValues{}), RangePolicy(Lsq{}), RangePolicy(Pact{}),
               RangePolicy(Tqt{}), RangePolicy(DoReFa{}));
  CAPTURE(policy_name(policy));
  Sequential model = small_net();
  apply_in_place(
      model, {{"conv2d", {.weights = {{"kernel", {.granularity = per_channel, .range = policy}}}}}},
      {});
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.fit(small_data(),
              {.epochs = 2,
               .batch_size = 16,
               .callbacks = {quantization_schedule({.weight_bits = spread_bits({8, 4, 2}, 2)})}});
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
  CHECK(wrapper.config().weights.at("kernel").bits == 2);
  Sequential copy = clone(model);
  Quantizer& quantizer = quantizer_of(copy, "kernel");
  CHECK(quantizer.spec().bits == 2);
  const Tensor quantized =
      quantizer.run(wrapper.layer().own_weights({})["kernel"], Context::for_inference()).value();
  std::map<std::int64_t, std::set<float>> levels;
  for (std::int64_t i = 0; i < quantized.size(); ++i) levels[i % 4].insert(quantized.data()[i]);
  for (const auto& [channel, values] : levels) CHECK(values.size() <= 4);
}

TEST_CASE("a trained scale keeps its range when the width changes") {
  const auto quantizer = make_quantizer({.bits = 8, .range = Lsq{}}, TensorRole::weight);
  quantizer->build({64}, {});
  const Random random(3, "weights");
  Tensor w(Shape{64});
  for (std::int64_t i = 0; i < 64; ++i)
    w.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  quantizer->run(Variable(w), {.training = true});
  const QuantGrid wide = quantizer->grids().at(0);
  quantizer->set_bits(3);
  const QuantGrid few = quantizer->grids().at(0);
  CHECK(few.nudged_max - few.nudged_min == Approx(wide.nudged_max - wide.nudged_min));
  CHECK(few.scale == Approx(wide.scale * 255 / 7));
}

TEST_CASE("quantizers without a choice of width say so") {
  const auto binary = make_quantizer({.bits = 1, .range = Binary{}}, TensorRole::weight);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { binary->set_bits(4); }), Catch::Contains("binary"));
  CHECK(binary->spec().bits == 1);
}

TEST_CASE("quantization that grows is a blend, whole at its end, fused and not") {
  const bool fused = GENERATE(false, true);
  Sequential model = small_net();
  quantize(model);
  std::vector<float> shares;
  class Shares final : public Callback {
   public:
    explicit Shares(std::vector<float>& found) : found_(found) {}
    void on_batch_end(Trainer& trainer, const BatchResult&) override {
      found_.push_back(quantizer_of(trainer.model(), "kernel").mode.share);
    }

   private:
    std::vector<float>& found_;
  };
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.set_fuse(fused);
  trainer.fit(small_data(), {.epochs = 2,
                             .batch_size = 16,
                             .callbacks = {std::make_shared<Shares>(shares),
                                           quantization_schedule({.full_from = 4})}});
  // Before the schedule's own turn: what the step was trained with.
  REQUIRE(shares.size() == 8);
  CHECK(shares[0] == 0.0f);
  CHECK(shares[1] == Approx(1 - std::pow(0.75, 3)));
  CHECK(shares[3] == Approx(1 - std::pow(0.25, 3)));
  CHECK(shares[4] == 1.0f);

  Quantizer& kernel = quantizer_of(model, "kernel");
  kernel.mode.share = 0.25f;
  const Variable x(Tensor::full({3, 3, 3, 4}, 0.0371f), true);
  const Variable blend = kernel.run(x, Context::for_inference());
  const Variable whole = kernel(x, Context::for_inference());
  CHECK(blend.value().values()[0] == Approx(0.25f * whole.value().values()[0] + 0.75f * 0.0371f));
}
