// Dense products, batch 64: forward, weight gradient, data gradient.
#include <fmt/format.h>

#include <perch/core/ops/dense.h>

#include "baseline.h"
#include "bench.h"

namespace perch::bench {
namespace {

struct Layer {
  std::int64_t inputs, outputs;
  const char* name;
};

const std::vector<Layer> layers{
    {32768, 10, "temp_net"}, {256, 10, "dsc_net"}, {2048, 256, "large"}};

struct Setting {
  BlasDense baseline;
  Variable x, kernel;
  Tensor dy;

  explicit Setting(const Layer& layer)
      : baseline{64, layer.inputs, layer.outputs},
        x(random_tensor({64, layer.inputs}, "x"), true),
        kernel(random_tensor({layer.inputs, layer.outputs}, "kernel"), true),
        dy(random_tensor({64, layer.outputs}, "upstream")) {}
  Work work() const {
    return {.flops = 2.0 * static_cast<double>(baseline.images * baseline.inputs) *
                     static_cast<double>(baseline.outputs)};
  }
};

}  // namespace

void add_dense() {
  for (const Layer& layer : layers) {
    const auto pass = [&](const char* name, auto make) {
      add(fmt::format("dense {} to {} ({}), {}", layer.inputs, layer.outputs, layer.name, name),
          Beside::baseline, [=] { return make(Setting(layer)); });
    };
    pass("forward", [](const Setting& s) -> Benchmark {
      return {s.work(),
              forward([s] { return dense(s.x.detach(), s.kernel.detach(), {}); }),
              {.run = [s] { return s.baseline.forward(s.x.value(), s.kernel.value()); }}};
    });
    pass("weight gradient", [](const Setting& s) -> Benchmark {
      return {s.work(),
              backward([s] { return dense(s.x.detach(), s.kernel, {}); }, {s.kernel}),
              {.run = [s] { return s.baseline.kernel_gradient(s.x.value(), s.dy); }}};
    });
    pass("data gradient", [](const Setting& s) -> Benchmark {
      return {s.work(),
              backward([s] { return dense(s.x, s.kernel.detach(), {}); }, {s.x}),
              {.run = [s] { return s.baseline.input_gradient(s.kernel.value(), s.dy); }}};
    });
  }
}

}  // namespace perch::bench
