// Convolutions of the example networks: forward, weight gradient, data gradient; GFLOP/s.
#include <benchmark/benchmark.h>

#include <perch/core/ops/conv.h>
#include <perch/core/parallel.h>

namespace {

using namespace perch;

struct Layer {
  std::int64_t size, channels, kernel, filters, stride;
  bool depthwise;
};

constexpr Layer temp_net{32, 3, 3, 32, 1, false};
constexpr Layer pointwise{16, 16, 1, 32, 1, false};
constexpr Layer depthwise{16, 16, 3, 1, 1, true};
constexpr Layer square_16{32, 16, 3, 16, 1, false};
constexpr Layer square_64{8, 64, 3, 64, 1, false};
constexpr Layer square_256{8, 256, 3, 256, 1, false};
constexpr Layer strided{32, 16, 3, 32, 2, false};

enum class Pass { forward, kernel, input };

void run(benchmark::State& state, const Layer& layer, Pass pass) {
  constexpr std::int64_t batch = 64;
  set_thread_count(static_cast<int>(state.range(0)));
  Variable x(Tensor::full({batch, layer.size, layer.size, layer.channels}, 0.5f),
             pass == Pass::input);
  Variable kernel(Tensor::full({layer.kernel, layer.kernel, layer.channels, layer.filters}, 0.25f),
                  pass == Pass::kernel);
  const Conv2DOptions options{.stride = layer.stride, .padding = Padding::same};
  const auto op = [&] {
    return layer.depthwise ? depthwise_conv2d(x, kernel, {}, options)
                           : conv2d(x, kernel, {}, options);
  };
  const Tensor seed = Tensor::full(op().shape(), 1.0f);
  for (auto _ : state) {
    if (pass == Pass::forward) {
      benchmark::DoNotOptimize(op().value().data());
      continue;
    }
    state.PauseTiming();
    const Variable y = op();
    state.ResumeTiming();
    y.backward(seed);
    x.take_grad();
    kernel.take_grad();
  }
  const double products = static_cast<double>(seed.size()) *
                          static_cast<double>(layer.kernel * layer.kernel) *
                          static_cast<double>(layer.depthwise ? 1 : layer.channels);
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * products * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

#define PERCH_CONV_PASS(layer, pass) \
  BENCHMARK_CAPTURE(run, layer##_##pass, layer, Pass::pass)->Arg(1)->Arg(2)->UseRealTime()
#define PERCH_CONV_BENCH(layer)    \
  PERCH_CONV_PASS(layer, forward); \
  PERCH_CONV_PASS(layer, kernel);  \
  PERCH_CONV_PASS(layer, input)

PERCH_CONV_BENCH(temp_net);
PERCH_CONV_BENCH(pointwise);
PERCH_CONV_BENCH(depthwise);
PERCH_CONV_BENCH(square_16);
PERCH_CONV_BENCH(square_64);
PERCH_CONV_BENCH(square_256);
PERCH_CONV_BENCH(strided);

}  // namespace
