// Fake quantization and range tracking at the size of temp_net's activation; bytes read and
// written.
#include <benchmark/benchmark.h>

#include <perch/core/ops/fake_quant.h>
#include <perch/core/random.h>

namespace {

using namespace perch;

const Shape activation{64, 32, 32, 32};

Tensor values() {
  Tensor x(activation);
  Random(1, "values").fill_uniform(x.values());
  return x;
}

// Argument: 0 per tensor, 1 per channel of the last axis.
std::vector<int> axes_of(const benchmark::State& state) {
  return state.range(0) == 0 ? std::vector<int>{} : std::vector<int>{3};
}

Tensor filled(const std::vector<int>& axes, float value) {
  return Tensor::full(axes.empty() ? Shape{} : Shape{activation[3]}, value);
}

void count_bytes(benchmark::State& state, std::int64_t passes) {
  state.SetBytesProcessed(state.iterations() * passes * activation.size() *
                          static_cast<std::int64_t>(sizeof(float)));
}

void range(benchmark::State& state) {
  const Tensor x = values();
  const auto axes = axes_of(state);
  for (auto _ : state) benchmark::DoNotOptimize(range_of(x, axes));
  count_bytes(state, 1);
}

void forward(benchmark::State& state) {
  const Variable x(values());
  const auto axes = axes_of(state);
  const Variable min(filled(axes, 0.1f)), max(filled(axes, 0.9f));
  for (auto _ : state) benchmark::DoNotOptimize(fake_quant(x, min, max, {.axes = axes}));
  count_bytes(state, 2);
}

// Argument 1: 1 with the gradients of the range.
void backward(benchmark::State& state) {
  const Variable x(values(), true);
  const auto axes = axes_of(state);
  const bool learned = state.range(1) != 0;
  const Variable min(filled(axes, 0.1f), learned), max(filled(axes, 0.9f), learned);
  for (auto _ : state) {
    state.PauseTiming();
    const Variable y = fake_quant(x, min, max, {.axes = axes});
    Tensor dy = values();
    state.ResumeTiming();
    y.backward(std::move(dy));
    state.PauseTiming();
    Variable(x).clear_grad();
    Variable(min).clear_grad();
    Variable(max).clear_grad();
    state.ResumeTiming();
  }
  count_bytes(state, 3);
}

BENCHMARK(range)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(forward)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(backward)->ArgsProduct({{0, 1}, {0, 1}})->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
