#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <tests/support/errors.h>
#include <tests/train/fixtures.h>
#include <tests/train/stderr_capture.h>
#include <unistd.h>

#include <perch/train/progress_line.h>
#include <perch/train/text.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

const TrainPlan with_validation{
    .epochs = 9, .batches = 4, .batch_size = 8, .train_images = 32, .val_images = 8};

EpochResult epoch(std::int64_t number, double loss, double accuracy) {
  return {.epoch = number,
          .loss = loss,
          .accuracy = accuracy,
          .val_loss = loss + 1.0,
          .val_accuracy = accuracy / 2,
          .images_per_second = 8120.4,
          .seconds = 5.96};
}

/// Counts the epochs of a training.
class CountEpochs final : public Callback {
 public:
  void on_epoch_end(Trainer&, const EpochResult&) override { ++count; }
  int count = 0;
};

/// A trainer whose training the tests only pretend.
struct Stage {
  Sequential model = small_net();
  Trainer trainer{model, Sgd(), sparse_categorical_crossentropy({.from_logits = false})};
};

/// The epochs that on_best takes for the best so far when the monitored values are these.
std::vector<std::int64_t> best_epochs(const std::string& monitor, std::vector<double> values,
                                      bool accuracies) {
  Stage stage;
  std::vector<std::int64_t> best;
  std::int64_t current = 0;
  const CallbackPtr callback = on_best(monitor, [&](Trainer&) { best.push_back(current); });
  callback->on_train_begin(stage.trainer, with_validation);
  for (; current < static_cast<std::int64_t>(values.size()); ++current) {
    const double value = values[static_cast<std::size_t>(current)];
    callback->on_epoch_end(stage.trainer,
                           accuracies ? epoch(current, 1.0, value) : epoch(current, value, 0.5));
  }
  return best;
}

std::string content(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("on_best follows losses downwards and accuracies upwards") {
  using Epochs = std::vector<std::int64_t>;
  const std::vector<double> values{0.5, 0.4, 0.6, NAN, 0.4, 0.3};
  CHECK(best_epochs("loss", values, false) == Epochs{0, 1, 5});
  CHECK(best_epochs("val_loss", values, false) == Epochs{0, 1, 5});
  CHECK(best_epochs("accuracy", values, true) == Epochs{0, 2});
  CHECK(best_epochs("val_accuracy", values, true) == Epochs{0, 2});
}

TEST_CASE("early stopping waits for as many epochs as its patience says") {
  Stage stage;
  const auto counter = std::make_shared<CountEpochs>();
  // No step improves the loss by 100: the first epoch is the best, and two more are waited for.
  stage.trainer.fit(small_data(16),
                    {.epochs = 9,
                     .batch_size = 8,
                     .callbacks = {early_stopping({"loss", 2, /*min_delta=*/100.0}), counter}});
  CHECK(counter->count == 3);
}

TEST_CASE("early stopping puts the best epoch's state back when asked to") {
  Stage stage;
  const bool restore = GENERATE(true, false);
  const CallbackPtr callback =
      early_stopping({.monitor = "loss", .patience = 5, .restore_best = restore});
  callback->on_train_begin(stage.trainer, with_validation);
  callback->on_epoch_end(stage.trainer, epoch(0, 0.5, 0.5));
  const auto best = state_bits(stage.model);
  stage.trainer.fit(small_data(16), {.batch_size = 8});
  const auto trained = state_bits(stage.model);
  callback->on_epoch_end(stage.trainer, epoch(1, 0.9, 0.5));
  callback->on_train_end(stage.trainer);
  REQUIRE(best != trained);
  CHECK(state_bits(stage.model) == (restore ? best : trained));
}

TEST_CASE("a monitor that does not exist or needs validation images is refused") {
  CHECK_THAT(error_of(ErrorCode::usage, [] { early_stopping({.monitor = "val_los"}); }),
             Contains("nearest: val_loss"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { on_best("acuracy", [](Trainer&) {}); }),
             Contains("nearest: accuracy"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { early_stopping({.patience = -1}); }),
             Contains("patience"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { early_stopping({.min_delta = -1}); }),
             Contains("min_delta"));
  Stage stage;
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        stage.trainer.fit(small_data(16),
                                          {.batch_size = 8, .callbacks = {early_stopping()}});
                      }),
             Contains("validation_split") && Contains("'loss'"));
}

TEST_CASE("the CSV log has a row for each epoch and empty cells without validation") {
  const auto file = std::filesystem::temp_directory_path() /
                    ("perch_csv_log_test_" + std::to_string(getpid()) + ".csv");
  Stage stage;
  const CallbackPtr log = csv_log(file);
  log->on_train_begin(stage.trainer, with_validation);
  log->on_epoch_end(stage.trainer, epoch(0, 1.25, 0.5));
  const std::string first = "0,1.25,0.5,2.25,0.25,8120.4,5.960,,\n";
  const std::string header =
      "epoch,loss,accuracy,val_loss,val_accuracy,images_per_second,seconds,oscillating,clipped\n";
  CHECK(content(file) == header + first);  // there already while training goes on
  EpochResult second = epoch(1, 1.0, 0.75);
  second.val_loss = second.val_accuracy = std::nullopt;
  second.clipped = 0.125;
  log->on_epoch_end(stage.trainer, second);
  log->on_train_end(stage.trainer);
  CHECK(content(file) == header + first + "1,1,0.75,,,8120.4,5.960,,0.125\n");
  std::filesystem::remove(file);

  const CallbackPtr nowhere = csv_log(file / "below_nothing.csv");
  CHECK_THAT(error_of(ErrorCode::cannot_create,
                      [&] { nowhere->on_train_begin(stage.trainer, with_validation); }),
             Contains("below_nothing.csv") && Contains("choose another file"));
  if (std::filesystem::exists("/dev/full")) {
    const CallbackPtr full = csv_log("/dev/full");
    CHECK_THAT(
        error_of(ErrorCode::io, [&] { full->on_train_begin(stage.trainer, with_validation); }),
        Contains("make room"));
  }
}

TEST_CASE("a progress line fits the width it is given") {
  const BatchResult result{.epoch = 1,
                           .batch = 1,
                           .batches = 4,
                           .images = 16,
                           .loss = 1.23456,
                           .accuracy = 0.551,
                           .seconds = 0.002};
  const std::string figures = "8,000 images/s, 1 s left, loss 1.2346, accuracy 55.1 %";
  CHECK(progress_line(with_validation, result, 200, false) ==
        "epoch 2/9 [===============>              ] " + figures);
  CHECK(progress_line(with_validation, result, 79, false) == "epoch 2/9 [======>     ] " + figures);
  CHECK(progress_line(with_validation, result, 65, false) == "epoch 2/9 " + figures);
  CHECK(progress_line(with_validation, result, 20, false) == "epoch 2/9 8,000 imag");
  CHECK_THAT(progress_line(with_validation, result, 79, true), Contains("\033[32m======>\033[0m"));
  CHECK(grouped(999.6) == "1,000");
  CHECK(grouped(1234567.0) == "1,234,567");
  CHECK(duration(185.0) == "3 min 05 s");
  CHECK(duration(7621.0) == "2 h 07 min");
}

TEST_CASE("the progress bar writes plain lines to a file and redraws one line on a terminal") {
  Stage stage;
  const CallbackPtr bar = progress_bar();
  const BatchResult batch{.batches = 4, .images = 8, .loss = 1.5, .seconds = 0.1};
  const std::string last =
      "epoch 1/9: loss 1.2500, accuracy 50.00 %, val_loss 2.2500, val_accuracy 25.00 %, "
      "8,120 images/s, 6.0 s";
  const auto show = [&] {
    bar->on_train_begin(stage.trainer, with_validation);
    bar->on_epoch_begin(stage.trainer, 0);
    bar->on_batch_end(stage.trainer, batch);
    std::this_thread::sleep_for(std::chrono::milliseconds(110));
    for (int i = 0; i < 100; ++i) bar->on_batch_end(stage.trainer, batch);
    bar->on_epoch_end(stage.trainer, epoch(0, 1.25, 0.5));
    bar->on_train_end(stage.trainer);
  };
  {
    StderrCapture file;
    show();
    CHECK(file.text() == last + "\n");
  }
  StderrCapture terminal(100);
  if (!terminal.works()) return;
  const char* const former = std::getenv("TERM");
  const std::string restored = former == nullptr ? "dumb" : former;
  setenv("TERM", "xterm", 1);
  setenv("NO_COLOR", "1", 1);
  const auto start = std::chrono::steady_clock::now();
  show();
  const auto elapsed = std::chrono::steady_clock::now() - start;
  unsetenv("NO_COLOR");
  setenv("TERM", restored.c_str(), 1);
  const std::string text = terminal.text();
  CHECK_THAT(text, Contains("epoch 1/9 [=") && Contains("\r\033[K" + last));
  CHECK(text.find("[32m") == std::string::npos);
  const auto drawn = std::ranges::count(text, '>');
  CHECK(drawn >= 1);
  CHECK(drawn <= elapsed / std::chrono::milliseconds(100));
}
