// Passes over the activations of temp_net's first layer, [64, 32, 32, 32]; GB/s of what has to be
// read and written at least.
#include <benchmark/benchmark.h>

#include <perch/core/ops/activation.h>
#include <perch/core/ops/batch_norm.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>

namespace {

using namespace perch;

const Shape shape{64, 32, 32, 32};

Tensor random_activations() {
  Tensor t(shape);
  Random(1, "activations").fill_uniform(t.values());
  return t;
}

void report(benchmark::State& state, int tensors_moved) {
  const auto bytes = static_cast<double>(shape.size()) * sizeof(float) * tensors_moved;
  state.counters["GB/s"] = benchmark::Counter(
      1e-9 * bytes * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// Forward alone, or backward alone (the forward pass before it is not timed).
template <class Op>
void run(benchmark::State& state, bool backward, int tensors_moved, Op op) {
  set_thread_count(static_cast<int>(state.range(0)));
  Variable x(random_activations(), backward);
  const Tensor seed = random_activations();
  for (auto _ : state) {
    if (!backward) {
      benchmark::DoNotOptimize(op(x).value().data());
      continue;
    }
    state.PauseTiming();
    const Variable y = op(x);
    Tensor dy = seed.clone();
    state.ResumeTiming();
    y.backward(std::move(dy));
    x.clear_grad();
  }
  report(state, tensors_moved);
}

Variable normalised(const Variable& x) {
  static Tensor mean = Tensor::zeros({32}), variance = Tensor::full({32}, 1.0f);
  static const Variable gamma(Tensor::full({32}, 1.0f)), beta(Tensor::zeros({32}));
  return batch_norm(x, gamma, beta, mean, variance, {.training = true});
}

// Read for the statistics, read and written.
void batch_norm_forward(benchmark::State& state) {
  run(state, false, 3, normalised);
}
// x and dy read for the sums, read again, and dx written.
void batch_norm_backward(benchmark::State& state) {
  run(state, true, 5, normalised);
}
void relu_forward(benchmark::State& state) {
  run(state, false, 2, relu);
}
void relu_backward(benchmark::State& state) {
  run(state, true, 3, relu);
}

BENCHMARK(batch_norm_forward)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(batch_norm_backward)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(relu_forward)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(relu_backward)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
