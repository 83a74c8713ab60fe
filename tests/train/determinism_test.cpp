// The same bits with any number of threads, and on every run.
#include <catch2/catch.hpp>
#include <tests/train/fixtures.h>

using namespace perch;
using namespace perch::test;

namespace {

class ThreadCount {
 public:
  explicit ThreadCount(int count) : former_(thread_count()) { set_thread_count(count); }
  ~ThreadCount() { set_thread_count(former_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int former_;
};

std::vector<std::uint32_t> train(const std::string& name, int threads) {
  const ThreadCount scope(threads);
  const std::unique_ptr<Model> model = make_model(name);
  model->build({32, 32, 3}, Model::BuildOptions{.seed = 1});
  quantize(*model);
  Trainer trainer(*model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const History history = trainer.fit(datasets::synthetic(150, {32, 32, 3}, 10, 2),
                                      {.epochs = 2,
                                       .batch_size = 32,
                                       .validation_split = 0.2,
                                       .seed = 7,
                                       .augmentation = {.crop_padding = 4, .flip = true},
                                       .clip_norm = 1.0f});
  std::vector<std::uint32_t> bits = state_bits(*model);
  for (const EpochResult& epoch : history.epochs) {
    for (const double value : {epoch.loss, epoch.accuracy, *epoch.val_loss, *epoch.val_accuracy}) {
      std::uint32_t halves[2];
      std::memcpy(halves, &value, sizeof value);
      bits.insert(bits.end(), halves, halves + 2);
    }
  }
  return bits;
}

}  // namespace

TEST_CASE("training gives the same bits with 1, 2 and 4 threads and on every run") {
  const std::string model = GENERATE(as<std::string>(), "temp_net", "depthwise_net", "resnet20");
  CAPTURE(model);
  const auto expected = train(model, 1);
  CHECK(train(model, 2) == expected);
  CHECK(train(model, 4) == expected);
  CHECK(train(model, 4) == expected);
}
