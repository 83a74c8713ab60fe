// The loader alone: images per second that it can hand to a training loop.
#include <benchmark/benchmark.h>

#include <perch/datasets/loader.h>
#include <perch/datasets/synthetic.h>

namespace {

void pass(benchmark::State& state, const perch::Augmentation& augmentation) {
  const perch::Dataset data = perch::datasets::synthetic(20'000, {32, 32, 3}, 10, 1);
  perch::Loader loader(data, {.batch_size = 64, .shuffle = true, .augmentation = augmentation});
  perch::Batch batch;
  std::int64_t epoch = 0, images = 0;
  for (auto _ : state) {
    loader.start(epoch++);
    while (loader.next(batch)) images += batch.size();
  }
  state.SetItemsProcessed(images);
}

void loader_plain(benchmark::State& state) {
  pass(state, {});
}
void loader_augmented(benchmark::State& state) {
  pass(state, {.crop_padding = 4, .flip = true});
}

// Wall-clock time: the work is done on the loader's own thread.
BENCHMARK(loader_plain)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(loader_augmented)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
