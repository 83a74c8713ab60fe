#include "bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <perch/core/blas.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/profile.h>
#include <perch/core/random.h>

namespace perch::bench {
namespace {

using Clock = std::chrono::steady_clock;

const MachinePeak& peak() {
  static const MachinePeak measured = measure_peak();
  return measured;
}

void require_same(const std::string& name, const Tensor& ours, const Tensor& baseline) {
  const bool same_shape = ours.size() == baseline.size();
  float largest = 0.0f;
  std::int64_t apart = 0;
  for (const float value : std::as_const(ours).values()) {
    largest = std::max(largest, std::abs(value));
  }
  for (std::int64_t i = 0; same_shape && i < ours.size(); ++i) {
    const float difference = std::abs(std::as_const(ours).data()[i] - baseline.data()[i]);
    apart += !(difference <= 1e-3f * largest);
  }
  if (same_shape && apart <= ours.size() / 1000) return;
  fmt::print(stderr, "perch_bench_ops: {}: the baseline differs in {} of {} elements\n", name,
             same_shape ? apart : ours.size(), ours.size());
  std::exit(1);
}

Tensor run_once(const Timed& timed) {
  if (timed.prepare) timed.prepare();
  return timed.run();
}

/// The benchmark of the last name asked for: perch and its baseline run one after the other, and
/// the inputs of all of them would not fit into memory.
const Benchmark& benchmark_of(const std::string& name, const std::function<Benchmark()>& make) {
  static std::string held;
  static Benchmark current;
  if (held == name) return current;
  current = {};
  current = make();
  held = name;
  if (current.baseline.run) {
    require_same(name, run_once(current.perch), run_once(current.baseline));
  }
  return current;
}

void report(benchmark::State& state, const Work& work, double seconds) {
  const bool products = work.flops > 0.0;
  const double rate =
      (products ? work.flops : work.bytes) * static_cast<double>(state.iterations()) / seconds;
  const double most = (products ? peak().flops : peak().bytes) * thread_count();
  state.counters[!products ? "GB/s" : work.integer ? "Gop/s" : "GFLOP/s"] = rate / 1e9;
  state.counters["share_of_peak"] = rate / most;
}

void time(benchmark::State& state, const Timed& timed, const Work& work) {
  double total = 0.0;
  for (auto _ : state) {
    if (timed.prepare) timed.prepare();
    const Clock::time_point start = Clock::now();
    const Tensor result = timed.run();
    benchmark::DoNotOptimize(&result);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    state.SetIterationTime(seconds);
    total += seconds;
  }
  report(state, work, total);
}

void add_context() {
  benchmark::AddCustomContext("kernels", std::string(kernels::active().arch));
  benchmark::AddCustomContext("openblas", blas::backend().core);
  benchmark::AddCustomContext("peak_gflops", fmt::format("{:.1f}", peak().flops / 1e9));
  benchmark::AddCustomContext("peak_gbytes", fmt::format("{:.1f}", peak().bytes / 1e9));
  benchmark::AddCustomContext("peak_memory_gbytes",
                              fmt::format("{:.1f}", peak().memory_bytes / 1e9));
}

}  // namespace

void add(const std::string& name, Beside beside, std::function<Benchmark()> make) {
  for (const int threads : {1, 2}) {
    const auto one = [&](const char* side, Timed Benchmark::*timed) {
      const std::string full = fmt::format("{}/{}/threads:{}", name, side, threads);
      benchmark::RegisterBenchmark(full.c_str(),
                                   [=](benchmark::State& state) {
                                     set_thread_count(threads);
                                     const Benchmark& bench = benchmark_of(name, make);
                                     time(state, bench.*timed, bench.work);
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    };
    if (beside == Beside::baseline) one("baseline", &Benchmark::baseline);
    one("perch", &Benchmark::perch);
  }
}

Timed forward(std::function<Variable()> op) {
  return {.run = [op = std::move(op)] { return op().value(); }};
}

Timed backward(std::function<Variable()> op, std::vector<Variable> leaves) {
  struct Pass {
    Variable y;
    Tensor upstream, dy;
  };
  const auto pass = std::make_shared<Pass>();
  const auto prepare = [=, op = std::move(op)]() mutable {
    for (Variable& leaf : leaves) leaf.clear_grad();
    pass->y = op();
    if (pass->upstream.empty()) pass->upstream = random_tensor(pass->y.shape(), "upstream");
    // An op may work in its gradient's memory, as it can in training.
    pass->dy = pass->upstream.clone();
  };
  const auto run = [=] {
    std::exchange(pass->y, {}).backward(std::move(pass->dy));
    return leaves.front().grad();
  };
  return {prepare, run};
}

Work counted(const Timed& timed) {
  if (timed.prepare) timed.prepare();
  const Profiler profiler(0.0);
  {
    const ProfileScope scope("bench", "", "outside of layers");
    timed.run();
  }
  Work work;
  for (const ProfileRow& row : profiler.rows()) work.flops += row.flops;
  return work;
}

Work moved(std::int64_t floats) {
  return {.bytes = sizeof(float) * static_cast<double>(floats)};
}

Tensor random_tensor(const Shape& shape, std::string_view name) {
  Tensor t(shape);
  Random(1, name).fill_uniform(t.values());
  for (float& value : t.values()) value -= 0.5f;
  return t;
}

}  // namespace perch::bench

int main(int argc, char** argv) {
  using namespace perch::bench;
  add_convolutions();
  add_integer_convolutions();
  add_dense();
  add_norms();
  add_quantizers();
  add_blocks();
  add_pooling();
  add_losses();
  add_optimizers();
  add_loader();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  add_context();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
