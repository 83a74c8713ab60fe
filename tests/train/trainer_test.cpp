#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include <tests/support/errors.h>
#include <tests/train/fixtures.h>
#include <tests/train/stderr_capture.h>

#include <perch/train/clip.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

/// What a training run was fed, step by step.
struct Record {
  std::vector<std::vector<std::int32_t>> labels;
  std::vector<double> losses;
  std::vector<float> rates;
};

/// The usual loss, which also notes what it was called with.
Loss recording_loss(Record& record) {
  return {"recording", [&record, inner = sparse_categorical_crossentropy()](const Variable& output,
                                                                            const Batch& batch) {
            Variable loss = inner(output, batch);
            record.labels.push_back(batch.labels);
            record.losses.push_back(loss.value().item());
            return loss;
          }};
}

/// Notes the learning rates and leaves the weights alone.
class Recorder final : public Optimizer {
 public:
  Recorder(Record& record, float rate) : record_(&record), rate_(rate) {}
  float learning_rate() const override { return rate_; }
  std::string name() const override { return "recorder"; }

 private:
  void begin_step(float learning_rate) override { record_->rates.push_back(learning_rate); }
  void update(const std::string&, Tensor&, const Tensor&) override {}
  Record* record_;
  float rate_;
};

std::vector<std::int32_t> joined(const std::vector<std::vector<std::int32_t>>& parts,
                                 std::size_t begin, std::size_t end) {
  std::vector<std::int32_t> all;
  for (std::size_t i = begin; i < end; ++i) all.insert(all.end(), parts[i].begin(), parts[i].end());
  return all;
}

std::vector<std::int32_t> counting(std::int32_t begin, std::int32_t end) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(end - begin));
  std::iota(numbers.begin(), numbers.end(), begin);
  return numbers;
}

std::vector<std::int32_t> sorted(std::vector<std::int32_t> values) {
  std::ranges::sort(values);
  return values;
}

}  // namespace

TEST_CASE("training lowers the loss and raises the accuracy, float and quantized") {
  const bool wrapped = GENERATE(false, true);
  CAPTURE(wrapped);
  Sequential model = small_net();
  if (wrapped) quantize(model);
  Trainer trainer(model, Adam({.learning_rate = 1e-2f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  const Dataset data = small_data(128);
  const History history = trainer.fit(data, {.epochs = 8, .batch_size = 16});
  REQUIRE(history.epochs.size() == 8);
  CHECK(history.epochs.back().loss < 0.5 * history.epochs.front().loss);
  CHECK(history.epochs.back().accuracy > 0.9);
  CHECK(history.epochs.back().images_per_second > 0.0);
  CHECK(history.epochs.back().seconds > 0.0);
  CHECK_FALSE(history.epochs.back().val_loss.has_value());
}

TEST_CASE("a validation split takes the last images, before shuffling, in their order") {
  Sequential model = small_net(10);
  Record record;
  Trainer trainer(model, Sgd(), recording_loss(record));
  // Keras: floor(10 * (1 - 0.25)) = 7 images to train on.
  const History history =
      trainer.fit(numbered_images(10), {.epochs = 2, .batch_size = 4, .validation_split = 0.25});
  REQUIRE(record.labels.size() == 2 * (2 + 1));
  for (const std::size_t epoch : {0u, 1u}) {
    const std::size_t at = 3 * epoch;
    CHECK(sorted(joined(record.labels, at, at + 2)) == counting(0, 7));
    CHECK(record.labels[at + 2] == counting(7, 10));
    CHECK(history.epochs[epoch].val_loss == record.losses[at + 2]);
  }
  CHECK(history.epochs[1].val_loss == trainer.evaluate(numbered_images(10).subset(7, 10)).loss);
}

TEST_CASE("every epoch has an order of its own, and none without shuffling") {
  Sequential model = small_net(20);
  const bool shuffle = GENERATE(true, false);
  Record record;
  Trainer trainer(model, Sgd(), recording_loss(record));
  trainer.fit(numbered_images(20), {.epochs = 2, .batch_size = 20, .shuffle = shuffle, .seed = 1});
  REQUIRE(record.labels.size() == 2);
  CHECK((record.labels[0] == counting(0, 20)) == !shuffle);
  CHECK((record.labels[1] == record.labels[0]) == !shuffle);
}

TEST_CASE("an epoch's loss is the mean over its images, not over its batches") {
  Sequential model = small_net(10);
  Record record;
  Trainer trainer(model, Sgd({.learning_rate = 0.5f}), recording_loss(record));
  const History history = trainer.fit(numbered_images(10), {.batch_size = 4});
  REQUIRE(record.losses.size() == 3);
  const double mean = (4 * record.losses[0] + 4 * record.losses[1] + 2 * record.losses[2]) / 10.0;
  CHECK(history.epochs[0].loss == Approx(mean).epsilon(1e-12));
}

TEST_CASE("evaluate and predict agree with a count by hand and change nothing in the model") {
  Sequential model = small_net();
  quantize(model);
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const Dataset data = small_data(50);
  trainer.fit(data, {.batch_size = 10});
  const auto before = state_bits(model);

  const Tensor probabilities = trainer.predict(data, 7);
  REQUIRE(probabilities.shape() == Shape{50, 4});
  double loss = 0.0;
  int correct = 0;
  for (std::int64_t i = 0; i < 50; ++i) {
    const float* const row = probabilities.data() + 4 * i;
    loss -= std::log(static_cast<double>(row[data.label(i)]));
    correct += std::max_element(row, row + 4) - row == data.label(i);
  }
  for (const std::int64_t batch_size : {1, 16, 50, 64}) {
    const Evaluation evaluation = trainer.evaluate(data, batch_size);
    CHECK(evaluation.loss == Approx(loss / 50).epsilon(1e-4));
    CHECK(evaluation.accuracy == Approx(correct / 50.0));
    CHECK(evaluation.count == 50);
    CHECK(evaluation.seconds > 0.0);
  }
  CHECK(state_bits(model) == before);
}

TEST_CASE("an evaluation prints as one line") {
  std::ostringstream line;
  line << Evaluation{1.01234, 0.55123, 10000, 10000 / 12345.0};
  CHECK(line.str() == "loss 1.0123, accuracy 55.12 % (10000 images, 12,345 images/s)");
}

TEST_CASE("the losses equal their definitions, with label smoothing and behind a softmax") {
  Sequential model = small_net();
  const Dataset data = small_data(12);
  const float s = GENERATE(0.0f, 0.1f);
  const LossOptions options{.label_smoothing = s, .from_logits = false};
  Trainer sparse(model, Sgd(), sparse_categorical_crossentropy(options));
  Trainer dense(model, Sgd(), categorical_crossentropy(options));
  Trainer squared(model, Sgd(), mean_squared_error(options));

  const Tensor p = sparse.predict(data);
  double entropy = 0.0, squares = 0.0;
  for (std::int64_t i = 0; i < 12; ++i) {
    for (int c = 0; c < 4; ++c) {
      const double target = (1.0 - s) * (data.label(i) == c) + s / 4.0;
      const double x = p.data()[4 * i + c];
      entropy -= target * std::log(x) / 12;
      squares += (x - target) * (x - target) / 48;
    }
  }
  CHECK(sparse.evaluate(data).loss == Approx(entropy).epsilon(1e-5));
  CHECK(dense.evaluate(data).loss == Approx(entropy).epsilon(1e-5));
  CHECK(squared.evaluate(data).loss == Approx(squares).epsilon(1e-5));
}

TEST_CASE("a softmax before a loss that expects logits is reported once and looked behind") {
  const Dataset data = small_data(16);
  Sequential with_softmax = small_net(4, "softmax"), with_logits = small_net(4, "linear");
  StderrCapture captured;
  Trainer trainer(with_softmax, Sgd(), sparse_categorical_crossentropy);
  trainer.fit(data, {.epochs = 2, .batch_size = 8, .validation_split = 0.5});
  const double loss = trainer.evaluate(data).loss;
  Trainer reference(with_logits, Sgd(), sparse_categorical_crossentropy);
  reference.fit(data, {.epochs = 2, .batch_size = 8, .validation_split = 0.5});
  CHECK(loss == reference.evaluate(data).loss);
  const std::string text = captured.text();
  CHECK_THAT(text, Contains("the model ends in a softmax"));
  CHECK(std::ranges::count(text, '\n') == 1);

  Trainer mistaken(with_logits, Sgd(), sparse_categorical_crossentropy({.from_logits = false}));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { mistaken.evaluate(data); }),
             Contains("from_logits = true"));
}

TEST_CASE("each step's learning rate follows the schedule") {
  Sequential model = small_net();
  Record record;
  Trainer trainer(model, Recorder(record, 0.5f), sparse_categorical_crossentropy({}));
  const Schedule schedule{.kind = Schedule::Kind::cosine, .warmup_steps = 2};
  StderrCapture quiet;
  trainer.fit(small_data(16), {.epochs = 3, .batch_size = 8, .schedule = schedule});
  REQUIRE(record.rates.size() == 6);
  for (std::int64_t i = 0; i < 6; ++i) {
    CHECK(record.rates[static_cast<std::size_t>(i)] ==
          0.5f * static_cast<float>(schedule.factor(i, 6)));
  }
  CHECK(std::set<float>(record.rates.begin(), record.rates.end()).size() > 3);
}

TEST_CASE("clipping scales all gradients to the global norm, and only longer ones") {
  Parameter a{"a", Variable(Tensor({2}, {0.0f, 0.0f}), true)};
  Parameter b{"b", Variable(Tensor::zeros({40000}), true)};
  std::vector<Parameter> parameters{a, b};
  const auto set_gradients = [&] {
    a.variable.clear_grad();
    b.variable.clear_grad();
    a.variable.backward(Tensor({2}, {3.0f, 0.0f}));
    b.variable.backward(Tensor::full({40000}, 0.02f));  // norm 4
  };
  set_gradients();
  CHECK(clip_by_global_norm(parameters, 10.0f) == Approx(5.0));
  CHECK(a.variable.grad().data()[0] == 3.0f);
  CHECK(clip_by_global_norm(parameters, 1.0f) == Approx(5.0));
  CHECK(a.variable.grad().data()[0] == Approx(0.6));
  CHECK(b.variable.grad().data()[39999] == Approx(0.004));

  // One step of plain descent moves the weights by rate times the clipped gradient.
  Sequential model = small_net(), start = small_net();
  Trainer trainer(model, Sgd({.learning_rate = 1.0f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  trainer.fit(small_data(16), {.batch_size = 16, .clip_norm = 0.01f});
  double moved = 0.0;
  const auto now = state_of(model), then = state_of(start);
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (!now[i].trainable) continue;
    for (std::int64_t j = 0; j < now[i].tensor()->size(); ++j) {
      const double step = now[i].tensor()->data()[j] - then[i].tensor()->data()[j];
      moved += step * step;
    }
  }
  CHECK(std::sqrt(moved) == Approx(0.01).epsilon(1e-3));
}

TEST_CASE("a loss that is no longer finite stops the training and names the step and the layer") {
  Sequential model = small_net();
  Trainer trainer(model, Sgd({.learning_rate = 1e30f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  const std::string message = error_of(
      ErrorCode::failure, [&] { trainer.fit(small_data(32), {.epochs = 9, .batch_size = 8}); });
  CHECK_THAT(message, Contains("loss is") && Contains("at epoch 1, step") && Contains("of 4") &&
                          Contains("the first layer with a non-finite value is '") &&
                          Contains("smaller learning rate"));

  std::vector<float> images(static_cast<std::size_t>(6 * small_image.size()), 0.5f);
  images[static_cast<std::size_t>(5 * small_image.size())] =
      std::numeric_limits<float>::quiet_NaN();
  const Dataset bad = from_memory(images, {0, 1, 2, 3, 0, 1}, small_image);
  Sequential fresh = small_net();
  Trainer other(fresh, Sgd(), sparse_categorical_crossentropy({.from_logits = false}));
  CHECK_THAT(
      error_of(ErrorCode::failure, [&] { other.fit(bad, {.batch_size = 2, .shuffle = false}); }),
      Contains("loss is nan at epoch 1, step 3 of 3") && Contains("an image of the batch") &&
          Contains("is 'conv2d' (its output)"));

  // A broken weight is named before the outputs that it spoils.
  Sequential broken = small_net();
  for (const StateEntry& entry : state_of(broken)) {
    if (entry.name == "dense/kernel") {
      entry.weight->mutable_value().data()[7] = std::numeric_limits<float>::infinity();
    }
  }
  Trainer last(broken, Sgd(), sparse_categorical_crossentropy({.from_logits = false}));
  Batch batch{Tensor::full(small_image.batched(2), 1.0f), {0, 1}};
  CHECK_THAT(error_of(ErrorCode::failure, [&] { last.train_batch(batch, 0.1f); }),
             Contains("at step 1") && Contains("'dense' (its weight dense/kernel)"));
}

TEST_CASE("options, data and models that make no training are refused with the remedy") {
  Sequential model = small_net();
  Trainer trainer(model, Sgd(), sparse_categorical_crossentropy({.from_logits = false}));
  const Dataset data = small_data(20);
  const auto refusal = [&](const FitOptions& options) {
    return error_of(ErrorCode::usage, [&] { trainer.fit(data, options); });
  };
  CHECK_THAT(refusal({.epochs = 0}), Contains("at least 1"));
  CHECK_THAT(refusal({.batch_size = 0}), Contains("outside [1, 20]"));
  CHECK_THAT(refusal({.batch_size = 21}), Contains("outside [1, 20]"));
  CHECK_THAT(refusal({.batch_size = 19, .validation_split = 0.1}), Contains("outside [1, 18]"));
  CHECK_THAT(refusal({.batch_size = 1, .validation_split = 1.0}), Contains("outside [0, 1)"));
  CHECK_THAT(refusal({.batch_size = 1, .validation_split = -0.1}), Contains("outside [0, 1)"));
  CHECK_THAT(refusal({.batch_size = 1, .validation_split = NAN}), Contains("outside [0, 1)"));
  CHECK_THAT(refusal({.batch_size = 1, .validation_split = 0.99}),
             Contains("no image for training"));
  CHECK_THAT(refusal({.batch_size = 1, .clip_norm = -1.0f}), Contains("clip_norm"));
  CHECK_THAT(refusal({.batch_size = 1, .callbacks = {nullptr}}), Contains("null"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.fit({}, {}); }), Contains("empty"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.evaluate({}); }), Contains("empty"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.evaluate(data, 0); }), Contains("below 1"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.predict(data, -1); }), Contains("below 1"));
  CHECK_THAT(error_of(ErrorCode::usage,
                      [] { sparse_categorical_crossentropy({.label_smoothing = 1.0f}); }),
             Contains("label smoothing"));

  const Dataset larger = datasets::synthetic(20, {9, 8, 3}, 4, 1);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { trainer.evaluate(larger); }),
             Contains("[9, 8, 3]") && Contains("[8, 8, 3]"));

  Sequential nameless{Flatten(), Dense(4)};
  Trainer unbuilt(nameless, Sgd(), sparse_categorical_crossentropy);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { unbuilt.fit(data, {.batch_size = 4}); }),
             Contains("not built") && Contains("model.build"));

  for (const Model::Node& node : model.nodes()) node.layer->set_trainable(false);
  CHECK_THAT(refusal({.batch_size = 4}), Contains("no trainable weight"));
}
