// A steady training step lives on recycled memory.
#include <catch2/catch.hpp>
#include <tests/support/allocation_counter.h>
#include <tests/train/fixtures.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Counts the large allocations of the steps after the first few.
class CountSteady final : public Callback {
 public:
  void on_batch_end(Trainer&, const BatchResult& result) override {
    if (result.batch == warm_up - 1) counter_.emplace();
    if (result.batch == result.batches - 2) {  // the last batch may be a smaller one
      count = counter_->count();
      largest = counter_->largest();
      counter_.reset();
    }
  }
  static constexpr std::int64_t warm_up = 3;
  std::int64_t count = -1;
  std::size_t largest = 0;

 private:
  std::optional<AllocationCounter> counter_;
};

}  // namespace

TEST_CASE("a steady training step makes no heap allocation of 4 KiB or more", "[slow]") {
  if (!AllocationCounter::available()) {
    WARN("allocations cannot be counted under this sanitizer");
    return;
  }
  const std::string name = GENERATE(from_range(model_names()));
  const bool wrapped = GENERATE(true, false);
  CAPTURE(name, wrapped);
  const bool narrow = name.starts_with("mobilenet");
  const std::unique_ptr<Model> model =
      make_model(name, {.width = narrow ? std::optional(0.25f) : std::nullopt});
  model->build({32, 32, 3});
  if (wrapped) quantize(*model);
  Trainer trainer(*model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const auto counter = std::make_shared<CountSteady>();
  trainer.fit(datasets::synthetic(16 * 8, {32, 32, 3}, 10, 2),
              {.batch_size = 16, .clip_norm = 1.0f, .callbacks = {counter}});
  CAPTURE(counter->largest);
  CHECK(counter->count == 0);
}
