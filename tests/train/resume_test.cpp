// A training that goes on from any of its states ends as one that was never stopped.
#include <cstring>
#include <functional>
#include <memory>

#include <tests/support/errors.h>
#include <tests/train/fixtures.h>
#include <tests/train/stderr_capture.h>

#include <perch/train/oscillation.h>
#include <perch/train/quantization_schedule.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

/// Asks for a stop with the last step of an epoch.
class InterruptBehind final : public Callback {
 public:
  explicit InterruptBehind(std::int64_t epoch) : epoch_(epoch) {}
  void on_batch_end(Trainer&, const BatchResult& result) override {
    if (result.epoch == epoch_ && result.batch + 1 == result.batches) request_interrupt();
  }

 private:
  std::int64_t epoch_;
};

/// What a run is made of, new for each.
struct Setup {
  std::function<Sequential()> model;
  std::function<std::unique_ptr<Optimizer>()> optimizer;
  std::function<FitOptions()> options;
};

struct End {
  std::vector<std::uint32_t> bits;
  History history;
  Optimizer::Slots slots;
};

End run(const Setup& setup, const std::shared_ptr<Keep>& keep,
        std::shared_ptr<const TrainingState> resume = nullptr) {
  Sequential model = setup.model();
  Trainer trainer(model, setup.optimizer(),
                  sparse_categorical_crossentropy({.from_logits = false}));
  FitOptions options = setup.options();
  if (keep) options.callbacks.push_back(keep);
  options.resume = std::move(resume);
  History history = trainer.fit(small_data(), options);
  return {state_bits(model), std::move(history), trainer.optimizer().slots()};
}

void check_same(const End& a, const End& b) {
  CHECK(a.bits == b.bits);
  REQUIRE(a.history.epochs.size() == b.history.epochs.size());
  for (std::size_t i = 0; i < a.history.epochs.size(); ++i) {
    const EpochResult &x = a.history.epochs[i], &y = b.history.epochs[i];
    const bool same = x.epoch == y.epoch && x.loss == y.loss && x.accuracy == y.accuracy &&
                      x.val_loss == y.val_loss && x.oscillating == y.oscillating &&
                      x.clipped == y.clipped;
    CHECK(same);
  }
  REQUIRE(a.slots.size() == b.slots.size());
  for (const auto& [slot, tensors] : a.slots) {
    for (const auto& [name, tensor] : tensors) {
      const Tensor& other = b.slots.at(slot).at(name);
      CHECK(std::memcmp(tensor.data(), other.data(), tensor.values().size_bytes()) == 0);
    }
  }
}

/// From each of the states on.
void check_every_step(const Setup& setup, std::int64_t steps) {
  const auto keep = std::make_shared<Keep>();
  const End whole = run(setup, keep);
  CHECK(keep->states.back()->step == steps);
  CHECK(keep->states.size() == static_cast<std::size_t>(steps) + 1);
  CHECK(keep->left);
  for (const auto& state : keep->states) {
    INFO("resumed behind step " << state->step);
    check_same(run(setup, nullptr, state), whole);
  }
}

Sequential quantized(const QuantSpec& weights, const QuantSpec& activations, bool dropout = false) {
  Sequential model = dropout ? Sequential{Conv2D(4, 3, {.padding = Padding::same}),
                                          BatchNorm(),
                                          Activation("relu"),
                                          Dropout(0.3f),
                                          Flatten(),
                                          Dense(4, {.activation = "softmax"})}
                             : small_net();
  if (dropout) model.build(small_image, {.seed = 3});
  const QuantizeConfig config{.weights = {{"kernel", weights}}, .activation = activations};
  apply_in_place(model,
                 choose_configs(model,
                                [&](const Layer& layer) {
                                  return layer.kind() == "Conv2D" ? std::optional(config)
                                                                  : std::nullopt;
                                }),
                 {});
  return model;
}

Setup everything(std::int64_t epochs) {
  return {.model =
              [] {
                return quantized({.granularity = per_channel, .range = AllValues{}},
                                 {.range = MovingAverage{}});
              },
          .optimizer = [] { return std::make_unique<Adam>(); },
          .options =
              [epochs] {
                const auto step = [&](double share) {
                  return static_cast<std::int64_t>(share * static_cast<double>(epochs * 3));
                };
                return FitOptions{
                    .epochs = epochs,
                    .batch_size = 17,
                    .validation_split = 0.25,
                    .schedule = {.kind = Schedule::Kind::step, .warmup_steps = 3},
                    .augmentation = {.crop_padding = 1, .flip = true},
                    .clip_norm = 1.0f,
                    .callbacks = {
                        early_stopping({.monitor = "loss", .patience = 100, .restore_best = true}),
                        quantization_schedule({.activations_from = step(0.2),
                                               .ranges_until = step(0.6),
                                               .full_from = step(0.3),
                                               .batch_norm_until = step(0.7)}),
                        oscillation({.momentum = 0.1f, .dampen = 0.01f, .freeze_above = 0.02f})}};
              }};
}

}  // namespace

TEST_CASE("a training resumed behind any step ends in the same bits") {
  SECTION("schedules, early stopping, oscillation") {
    check_every_step(everything(8), 24);
  }
  SECTION("trained ranges and progressive widths") {
    check_every_step({.model =
                          [] {
                            return quantized({.granularity = per_channel, .range = Lsq{}},
                                             {.range = LsqPlus{}});
                          },
                      .optimizer = [] { return std::make_unique<AdamW>(); },
                      .options =
                          [] {
                            return FitOptions{.epochs = 4,
                                              .batch_size = 16,
                                              .range_rate_factor = 0.1f,
                                              .callbacks = {quantization_schedule(
                                                  {.weight_bits = {{0, 8}, {5, 4}, {11, 3}}})}};
                          }},
                     16);
  }
  SECTION("stochastic rounding, dropout, moving averages of other starts") {
    const auto start = GENERATE(AverageStart::first_batch, AverageStart::zero_debias);
    check_every_step(
        {.model =
             [start] {
               return quantized({.range = LastValue{}, .rounding = Rounding::stochastic},
                                {.range = MovingAverage{.start = start}}, true);
             },
         .optimizer =
             [] {
               return std::make_unique<Sgd>(Sgd::Options{.learning_rate = 0.05f, .momentum = 0.9f});
             },
         .options = [] { return FitOptions{.epochs = 3, .batch_size = 20, .seed = 9}; }},
        12);
  }
}

// Ten times as long as the sweep above; docs/reliability.md says how to run it.
TEST_CASE("200 steps, resumed behind each of them", "[.][long]") {
  Setup setup = everything(67);
  check_every_step(setup, 201);
}

TEST_CASE("an interrupted training stops behind a whole step and tells its state") {
  const Setup setup = everything(4);
  const End whole = run(setup, nullptr);
  for (const std::int64_t step : {1, 2, 3, 7, 11}) {
    INFO("interrupted behind step " << step);
    const auto keep = std::make_shared<Keep>(step);
    error_of(ErrorCode::interrupted, [&] { run(setup, keep); });
    clear_interrupt();
    CHECK(keep->left);
    CHECK(keep->states.back()->step == step);
    check_same(run(setup, nullptr, keep->states.back()), whole);
  }
}

TEST_CASE("a training that is interrupted in the evaluation of an epoch ends in the same bits") {
  const Setup setup = everything(4);
  const End whole = run(setup, nullptr);
  for (const std::int64_t epoch : {0, 2, 3}) {
    INFO("interrupted in the evaluation of epoch " << epoch);
    const auto keep = std::make_shared<Keep>();
    Setup stopped = setup;
    stopped.options = [&] {
      FitOptions options = setup.options();
      options.callbacks.push_back(std::make_shared<InterruptBehind>(epoch));
      return options;
    };
    error_of(ErrorCode::interrupted, [&] { run(stopped, keep); });
    clear_interrupt();
    CHECK(keep->left);
    CHECK(keep->states.back()->epoch == epoch);
    CHECK(keep->states.back()->batch == 3);  // the last step, without the epoch's result
    check_same(run(setup, nullptr, keep->states.back()), whole);
  }
}

TEST_CASE("what is not known of a state, or may end it in other bits, is told") {
  const Setup setup = everything(2);
  const auto keep = std::make_shared<Keep>();
  const End whole = run(setup, keep);
  const auto resumed = [&](const std::function<void(TrainingState&)>& change) {
    auto state = std::make_shared<TrainingState>(*keep->states[4]);
    change(*state);
    StderrCapture capture;
    check_same(run(setup, nullptr, state), whole);
    return capture.text();
  };
  CHECK(resumed([](TrainingState&) {}).empty());
  CHECK(resumed([](TrainingState& state) { state.instruction_set.clear(); }).empty());
  CHECK_THAT(resumed([](TrainingState& state) { state.instruction_set = std::string("vax"); }),
             Contains("made with the vax instruction set"));
  CHECK_THAT(resumed([](TrainingState& state) { state.settings.erase("data"); }),
             Contains("whether they are the same is not known"));
}

TEST_CASE("a state of another training is refused with the difference") {
  Setup setup = everything(4);
  const auto keep = std::make_shared<Keep>();
  run(setup, keep);
  const auto state = keep->states[5];
  const auto refused = [&](const std::function<void(FitOptions&)>& change) {
    Setup other = setup;
    other.options = [&] {
      FitOptions options = setup.options();
      change(options);
      return options;
    };
    const std::string message = error_of(ErrorCode::usage, [&] { run(other, nullptr, state); });
    // Asked for, it goes on all the same.
    const auto anyway = other.options;
    other.options = [&] {
      FitOptions options = anyway();
      options.resume_anyway = true;
      return options;
    };
    run(other, nullptr, state);
    return message;
  };
  CHECK_THAT(refused([](FitOptions& options) { options.seed = 4; }),
             Contains("seed: 0 in the checkpoint, 4 now"));
  CHECK_THAT(refused([](FitOptions& options) { options.on_non_finite = OnNonFinite::skip; }),
             Contains("on_non_finite: nothing in the checkpoint, skip now"));
  CHECK_THAT(
      refused([](FitOptions& options) { options.settings["--calibrate"] = std::string("9"); }),
      Contains("--calibrate: nothing in the checkpoint, 9 now"));
  Setup other = setup;
  other.optimizer = [] { return std::make_unique<Adam>(Adam::Options{.learning_rate = 0.1f}); };
  CHECK_THAT(error_of(ErrorCode::usage, [&] { run(other, nullptr, state); }),
             Contains("optimizer.learning_rate: 0.001 in the checkpoint, 0.1 now"));
  other = setup;
  other.model = [] {
    return quantized({.bits = 4, .range = AllValues{}}, {.range = MovingAverage{}});
  };
  CHECK_THAT(error_of(ErrorCode::usage, [&] { run(other, nullptr, state); }),
             Contains("quant_conv2d") && Contains("bits: 8 in the checkpoint, 4 now"));
  // Asked for, but impossible: nothing is changed.
  Sequential wider = small_net(5);
  const auto before = state_bits(wider);
  Trainer trainer(wider, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  CHECK_THAT(
      error_of(ErrorCode::bad_data,
               [&] {
                 trainer.fit(
                     small_data(),
                     {.epochs = 4, .batch_size = 17, .resume = state, .resume_anyway = true});
               }),
      Contains("checkpoint"));
  CHECK(state_bits(wider) == before);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.state(); }), Contains("outside of fit"));
}
