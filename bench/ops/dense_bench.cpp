// Dense products: forward, weight gradient, data gradient; GFLOP/s.
#include <benchmark/benchmark.h>

#include <perch/core/ops/dense.h>
#include <perch/core/parallel.h>

namespace {

using namespace perch;

enum class Pass { forward, kernel, input };

void run(benchmark::State& state, Pass pass) {
  constexpr std::int64_t batch = 64;
  set_thread_count(static_cast<int>(state.range(2)));
  Variable x(Tensor::full({batch, state.range(0)}, 0.5f), pass == Pass::input);
  Variable kernel(Tensor::full({state.range(0), state.range(1)}, 0.25f), pass == Pass::kernel);
  const Tensor seed = Tensor::full({batch, state.range(1)}, 1.0f);
  for (auto _ : state) {
    if (pass == Pass::forward) {
      benchmark::DoNotOptimize(dense(x, kernel, {}).value().data());
      continue;
    }
    state.PauseTiming();
    const Variable y = dense(x, kernel, {});
    state.ResumeTiming();
    y.backward(seed);
    x.take_grad();
    kernel.take_grad();
  }
  const auto products = static_cast<double>(batch * state.range(0) * state.range(1));
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * products * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void sizes(benchmark::internal::Benchmark* bench) {
  for (const int threads : {1, 2}) bench->Args({32768, 10, threads})->Args({2048, 256, threads});
  bench->ArgNames({"inputs", "outputs", "threads"})->UseRealTime();
}

BENCHMARK_CAPTURE(run, forward, Pass::forward)->Apply(sizes);
BENCHMARK_CAPTURE(run, kernel, Pass::kernel)->Apply(sizes);
BENCHMARK_CAPTURE(run, input, Pass::input)->Apply(sizes);

}  // namespace
