// Steps that are not finite, and ranges that go astray.
#include <cmath>
#include <limits>

#include <tests/support/errors.h>
#include <tests/train/fixtures.h>
#include <tests/train/stderr_capture.h>

#include <perch/quant/wrapper.h>
#include <perch/train/range_watch.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

/// Makes one weight's gradient infinite in the steps that are chosen, as they are counted.
class Spoil final : public Callback {
 public:
  explicit Spoil(std::vector<int> steps) : steps_(std::move(steps)) {}
  void on_gradients(Trainer& trainer) override {
    const int step = seen_++;
    if (std::ranges::find(steps_, step) == steps_.end()) return;
    for (const StateEntry& entry : state_of(trainer.model())) {
      if (entry.name != "dense/bias") continue;
      entry.weight->backward(Tensor::full(entry.shape(), std::numeric_limits<float>::infinity()));
    }
  }

 private:
  std::vector<int> steps_;
  int seen_ = 0;
};

/// Makes it infinite in one step for as long as the training has its full rate.
class SpoilAtFullRate final : public Callback {
 public:
  explicit SpoilAtFullRate(int step) : step_(step) {}
  void on_gradients(Trainer& trainer) override {
    if (trainer.optimizer().iterations() != step_ || trainer.state().rate_factor < 1.0f) return;
    for (const StateEntry& entry : state_of(trainer.model())) {
      if (entry.name != "dense/bias") continue;
      entry.weight->backward(Tensor::full(entry.shape(), std::numeric_limits<float>::infinity()));
    }
  }

 private:
  int step_;
};

/// Leaves batches out as a skipped step does, to compare with.
struct Trained {
  std::vector<std::uint32_t> bits;
  History history;
  std::string said;
  std::int32_t iterations = 0;
};

Trained train(OnNonFinite action, const std::vector<int>& spoiled, std::int64_t epochs = 3) {
  Sequential model = small_net();
  quantize(model);
  Trainer trainer(model, Sgd({.learning_rate = 0.01f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  StderrCapture capture;
  History history = trainer.fit(small_data(), {.epochs = epochs,
                                               .batch_size = 16,
                                               .clip_norm = 5.0f,
                                               .on_non_finite = action,
                                               .callbacks = {std::make_shared<Spoil>(spoiled)}});
  return {state_bits(model), std::move(history), capture.text(), trainer.optimizer().iterations()};
}

}  // namespace

TEST_CASE("a gradient that is not finite stops the training with its weight and step") {
  const std::string message = error_of(ErrorCode::failure, [] { train(OnNonFinite::stop, {5}); });
  CHECK_THAT(message, Contains("the gradient of dense/bias is not finite at epoch 2, step 2 of 4"));
}

TEST_CASE("a skipped step leaves everything as it was") {
  const Trained clean = train(OnNonFinite::skip, {}, 1);
  const Trained last_skipped = train(OnNonFinite::skip, {3}, 1);
  CHECK(last_skipped.iterations == 3);
  CHECK(clean.iterations == 4);
  CHECK(last_skipped.bits != clean.bits);
  CHECK_THAT(last_skipped.said, Contains("the step is skipped"));
  // All but the first step skipped: that is where it stays.
  const Trained one = train(OnNonFinite::skip, {1, 2, 3}, 1);
  const Trained more = train(OnNonFinite::skip, {1, 2, 3, 5, 6, 7}, 1);
  CHECK(one.iterations == 1);
  CHECK(one.bits == more.bits);
  CHECK_THAT(error_of(ErrorCode::failure,
                      [] {
                        train(OnNonFinite::skip, {0, 1, 2, 3}, 1);
                      }),
             Contains("no step of epoch 1"));
}

TEST_CASE("going back takes the epoch up again with half the learning rate") {
  const Trained clean = train(OnNonFinite::go_back, {});
  const Trained back = train(OnNonFinite::go_back, {6});
  CHECK_THAT(back.said,
             Contains("going back to the begin of epoch 2 with 0.5 of the learning rate"));
  CHECK(back.iterations == 12);
  REQUIRE(back.history.epochs.size() == 3);
  CHECK(back.history.epochs[0].loss == clean.history.epochs[0].loss);
  CHECK(back.bits != clean.bits);
  std::vector<int> always(200);
  std::iota(always.begin(), always.end(), 0);
  CHECK_THAT(error_of(ErrorCode::failure, [&] { train(OnNonFinite::go_back, always); }),
             Contains("even with 0.03125"));
}

TEST_CASE("a training that goes back and is resumed amid an epoch ends in the same bits") {
  const auto run = [](OnNonFinite action, const CallbackPtr& keep,
                      std::shared_ptr<const TrainingState> resume) {
    Sequential model = small_net();
    quantize(model);
    Trainer trainer(model, Sgd({.learning_rate = 0.01f}),
                    sparse_categorical_crossentropy({.from_logits = false}));
    StderrCapture capture;
    const bool anyway = resume != nullptr && !resume->settings.contains("on_non_finite");
    FitOptions options{.epochs = 3,
                       .batch_size = 16,
                       .on_non_finite = action,
                       .callbacks = {std::make_shared<SpoilAtFullRate>(6)},
                       .resume = std::move(resume),
                       .resume_anyway = anyway};
    if (action == OnNonFinite::stop) options.callbacks.clear();  // nothing to stop for
    if (keep) options.callbacks.push_back(keep);
    History history = trainer.fit(small_data(), options);
    return Trained{state_bits(model), std::move(history), capture.text(),
                   trainer.optimizer().iterations()};
  };
  const auto keep = std::make_shared<Keep>();
  const Trained whole = run(OnNonFinite::go_back, keep, nullptr);
  CHECK_THAT(whole.said, Contains("the begin of epoch 2 with 0.5"));
  CHECK(whole.iterations == 12);
  int behind = 0;
  for (const auto& state : keep->states) {
    INFO("resumed from step " << state->step << ", rate " << state->rate_factor);
    behind += state->rate_factor < 1.0f;
    const Trained resumed = run(OnNonFinite::go_back, nullptr, state);
    CHECK(resumed.bits == whole.bits);
    CHECK(resumed.history.epochs.back().loss == whole.history.epochs.back().loss);
  }
  CHECK(behind > 0);

  // A training that did not go back before has checkpoints amid an epoch: it goes back to its one.
  const auto plain = std::make_shared<Keep>();
  run(OnNonFinite::stop, plain, nullptr);
  const auto amid = plain->states.at(5);  // told behind steps 1, 2, 3, the epoch, then 5 and 6
  REQUIRE(amid->step == 6);
  REQUIRE(amid->batch > 0);
  const Trained back = run(OnNonFinite::go_back, nullptr, amid);
  CHECK_THAT(back.said, Contains("going back to step 6 with 0.5"));
  CHECK(back.iterations == 12);
}

TEST_CASE("a resumed training tells no range twice") {
  std::vector<std::string> told;
  const auto run = [&](const CallbackPtr& keep, std::shared_ptr<const TrainingState> resume) {
    told.clear();
    Sequential model = small_net();
    quantize(model);
    auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
    Tensor& kernel = find_weight(wrapper.layer(), "kernel")->mutable_value();
    for (std::int64_t i = 2; i < kernel.size(); i += 4) kernel.data()[i] = 0.0f;
    Trainer trainer(model, Sgd({.learning_rate = 0.0f}),
                    sparse_categorical_crossentropy({.from_logits = false}));
    FitOptions options{
        .epochs = 3,
        .batch_size = 16,
        .callbacks = {range_watch([&](const std::string& line) { told.push_back(line); })},
        .resume = std::move(resume)};
    if (keep) options.callbacks.push_back(keep);
    trainer.fit(small_data(), options);
  };
  const auto keep = std::make_shared<Keep>();
  run(keep, nullptr);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Contains("quant_conv2d: kernel") && Contains("(2)"));
  run(nullptr, keep->states.at(2));  // amid the first epoch
  CHECK(told.size() == 1);
  run(nullptr, keep->states.at(6));
  CHECK(told.empty());
}

TEST_CASE("ranges that collapse or explode are told once, with layer and channel") {
  Sequential model = small_net();
  quantize(model);
  const auto kernel = [&]() -> Tensor& {
    auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
    return find_weight(wrapper.layer(), "kernel")->mutable_value();
  };
  std::vector<std::string> told;
  const CallbackPtr watch = range_watch([&told](const std::string& line) { told.push_back(line); });
  Trainer trainer(model, Sgd({.learning_rate = 0.0f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  Callback& callback = *watch;
  const auto epoch = [&](std::int64_t number) {
    model.forward(Variable(Tensor::full(small_image.batched(2), 0.5f)),
                  Context::for_training(0, static_cast<std::uint32_t>(number)));
    callback.on_epoch_end(trainer, {.epoch = number});
  };
  const auto set_channel = [&](std::int64_t channel, float value) {
    for (std::int64_t i = channel; i < kernel().size(); i += 4) kernel().data()[i] = value;
  };
  auto& ranges = dynamic_cast<RangeQuantizer&>(
      *dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d")).quantizers().at("kernel"));
  callback.on_train_begin(trainer, {});
  epoch(0);
  CHECK(told.empty());
  set_channel(2, 0.0f);
  RangeQuantizer::State state = ranges.state();
  state.min.data()[2] = state.max.data()[2] = 0.0f;
  ranges.restore(state);
  epoch(1);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Contains("epoch 2: quant_conv2d: kernel") &&
                          Contains("1 of 4 channels (2)") && Contains("collapsed"));
  set_channel(1, 1e4f);
  epoch(2);
  REQUIRE(told.size() >= 2);
  CHECK_THAT(told[1], Contains("exploded") || Contains("collapsed"));
  const std::size_t before = told.size();
  epoch(3);
  CHECK(told.size() == before);
}
