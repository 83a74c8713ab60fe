// Batch normalisation's statistics from a few images.
#include <cmath>

#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/train/fixtures.h>

#include <perch/ptq/reestimate.h>
#include <perch/quant/wrapper.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Mean and variance of a layer's output per channel, the mean of those of single batches.
std::pair<std::vector<double>, std::vector<double>> batch_statistics(Layer& layer,
                                                                     const Dataset& data,
                                                                     std::int64_t batch_size) {
  Loader loader(data, {.batch_size = batch_size});
  loader.start(0);
  Batch batch;
  std::vector<double> means(4), variances(4);
  double batches = 0;
  for (; loader.next(batch); ++batches) {
    const Tensor y = layer({Variable(batch.images)}, Context::for_inference()).value();
    const double count = static_cast<double>(y.size() / 4);
    for (std::size_t c = 0; c < 4; ++c) {
      double sum = 0, squares = 0;
      for (std::size_t i = c; i < y.values().size(); i += 4) {
        sum += double{y.values()[i]};
        squares += double{y.values()[i]} * double{y.values()[i]};
      }
      means[c] += sum / count;
      variances[c] += squares / count - std::pow(sum / count, 2);
    }
  }
  for (std::size_t c = 0; c < 4; ++c) {
    means[c] /= batches;
    variances[c] /= batches;
  }
  return {means, variances};
}

}  // namespace

TEST_CASE("re-estimated statistics are the batches' own, and nothing else changes") {
  Sequential model = small_net();
  quantize(model);
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.fit(small_data(), {.epochs = 1, .batch_size = 16});
  Sequential before = clone(model);
  reestimate_batch_norm(model, small_data(), {.images = 48, .batch_size = 16});

  auto& norm = dynamic_cast<BatchNorm&>(model.layer("batch_normalization"));
  CHECK(norm.options().momentum == 0.99f);
  // What the normalisation gets: the input's grid, the wrapped convolution.
  Sequential front;
  for (const char* const name : {"quantize_layer", "quant_conv2d"}) {
    LayerSpec spec = describe(before.layer(name));
    front.add(make_layer(spec));
  }
  front.build(small_image);
  for (StateEntry& target : state_of(front)) {
    for (const StateEntry& source : state_of(before)) {
      if (source.name != target.name || target.tensor() == nullptr) continue;
      (target.weight != nullptr ? target.weight->mutable_value() : *target.buffer)
          .copy_from(*source.tensor());
    }
  }
  const auto [means, variances] = batch_statistics(front, small_data().subset(0, 48), 16);
  for (std::size_t c = 0; c < 4; ++c) {
    CHECK(double{norm.moving_mean().values()[c]} == Approx(means[c]).margin(1e-5));
    CHECK(double{norm.moving_variance().values()[c]} == Approx(variances[c]).epsilon(0.02));
  }
  // The rest has the same bits.
  auto& old = dynamic_cast<BatchNorm&>(before.layer("batch_normalization"));
  CHECK(bit_difference(old.moving_mean(), norm.moving_mean()) != "");
  old.moving_mean().copy_from(norm.moving_mean());
  old.moving_variance().copy_from(norm.moving_variance());
  CHECK(state_bits(before) == state_bits(model));
}

TEST_CASE("frozen statistics stay, and a model without any is refused") {
  Sequential model = small_net();
  model.layer("batch_normalization").set_trainable(false);
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] { reestimate_batch_norm(model, small_data(), {.images = 16}); }),
             Catch::Contains("not frozen"));
}
