// Quantizers that begin late and stop early.
#include <cmath>

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
