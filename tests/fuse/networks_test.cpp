// Whole networks, fused and layer by layer: the same training.
#include <catch2/catch.hpp>

#include <perch/fuse/fuse.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/quant/apply.h>
#include <perch/quant/schemes.h>
#include <perch/train/trainer.h>

#include "tests/train/fixtures.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("ten fused steps are the composed ones", "[slow]") {
  const std::string name = GENERATE(from_range(model_names()));
  // Quantizers behind the convolutions, as in the original script, or where default_8bit has them.
  const std::string quantizers = GENERATE("original", "default_8bit", "none");
  CAPTURE(name, quantizers);
  // The mobilenets narrow, for the time that they take; and small steps, since a beta whose
  // gradient is nothing but rounding noise moves by the learning rate.
  const bool narrow = name.starts_with("mobilenet");
  // In these a single code beside its boundary can move the loss of 16 images by 0.3 %.
  if (quantizers == "default_8bit" && narrow) return;
  const std::unique_ptr<Model> model =
      make_model(name, {.width = narrow ? std::optional(0.25f) : std::nullopt});
  constexpr float learning_rate = 1e-4f;
  model->build({32, 32, 3});
  if (quantizers == "original") quantize(*model);
  if (quantizers == "default_8bit") {
    apply_in_place(*model, default_8bit(*model), {.output_quantizers = false});
  }
  const std::unique_ptr<Model> copy = clone_model(*model);
  const Dataset data = datasets::synthetic(16 * 10, {32, 32, 3}, 10, 2);
  const Loss loss = sparse_categorical_crossentropy({.from_logits = false});
  Trainer fused(*model, Adam(), loss), plain(*copy, Adam(), loss);
  fused.set_fuse(true);
  plain.set_fuse(false);
  Loader loader(data, {.batch_size = 16});
  loader.start(0);
  Batch batch;
  while (loader.next(batch)) {
    const double expected = plain.train_batch(batch, learning_rate);
    CHECK(fused.train_batch(batch, learning_rate) == Approx(expected).epsilon(1e-3));
  }
  CHECK(fused.evaluate(data).loss == Approx(plain.evaluate(data).loss).epsilon(1e-3));
  const auto ours = state_of(*model), theirs = state_of(*copy);
  REQUIRE(ours.size() == theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CHECK(ours[i].name == theirs[i].name);
    CHECK(ours[i].shape() == theirs[i].shape());
  }
}

TEST_CASE("a small step lowers the loss by the gradient's square times the rate", "[slow]") {
  const std::string name = GENERATE("temp_net", "dsc_net", "resnet20");
  const bool fused = GENERATE(true, false);
  CAPTURE(name, fused);
  const std::unique_ptr<Model> model = make_model(name, {});
  model->build({32, 32, 3}, {.seed = 1});
  const auto weights = [&] {
    std::vector<float> all;
    for (const StateEntry& entry : state_of(*model)) {
      if (!entry.trainable) continue;
      const auto values = entry.tensor()->values();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  Trainer trainer(*model, Sgd({.learning_rate = 1.0f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  trainer.set_fuse(fused);
  Loader loader(datasets::synthetic(32, {32, 32, 3}, 10, 2), {.batch_size = 32});
  loader.start(0);
  Batch batch;
  REQUIRE(loader.next(batch));

  constexpr float rate = 1e-4f;
  const std::vector<float> before = weights();
  const double loss = trainer.train_batch(batch, rate);
  const std::vector<float> after = weights();
  double square = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    square += std::pow((double{after[i]} - double{before[i]}) / double{rate}, 2);
  }
  CHECK((loss - trainer.train_batch(batch, 0.0f)) / double{rate} == Approx(square).epsilon(0.05));
}
