// Convolutions of the example networks, batch 64: forward, weight gradient, data gradient.
#include <fmt/format.h>

#include <perch/core/ops/conv.h>

#include "baseline.h"
#include "bench.h"
#include "conv_layers.h"

namespace perch::bench {
namespace {

enum class Pass { forward, kernel, input };

const std::vector<ConvLayer> layers{
    {.name = "temp_net", .size = 32, .channels = 3, .kernel = 3, .filters = 32},
    {.name = "resnet20 stem", .size = 32, .channels = 3, .kernel = 3, .filters = 16},
    {.name = "resnet20", .size = 32, .channels = 16, .kernel = 3, .filters = 16},
    {.name = "resnet20", .size = 16, .channels = 32, .kernel = 3, .filters = 32},
    {.name = "resnet20", .size = 8, .channels = 64, .kernel = 3, .filters = 64},
    // As many products as the three before, but Winograd's way does not serve them.
    {.name = "direct", .size = 32, .channels = 16, .kernel = 3, .filters = 16, .dilation = 2},
    {.name = "direct", .size = 16, .channels = 32, .kernel = 3, .filters = 32, .dilation = 2},
    {.name = "direct", .size = 8, .channels = 64, .kernel = 3, .filters = 64, .dilation = 2},
    {.name = "resnet20", .size = 32, .channels = 16, .kernel = 3, .filters = 32, .stride = 2},
    {.name = "resnet20", .size = 16, .channels = 32, .kernel = 3, .filters = 64, .stride = 2},
    {.name = "ds_net stem", .size = 32, .channels = 3, .kernel = 3, .filters = 16, .stride = 2},
    {.name = "ds_net", .size = 16, .channels = 16, .kernel = 1, .filters = 32},
    {.name = "dsc_net", .size = 32, .channels = 32, .kernel = 1, .filters = 64},
    {.name = "dsc_net", .size = 16, .channels = 64, .kernel = 1, .filters = 128},
    {.name = "dsc_net", .size = 8, .channels = 256, .kernel = 1, .filters = 256},
    {.name = "dsc_net", .size = 32, .channels = 32, .kernel = 3},
    {.name = "dsc_net", .size = 32, .channels = 64, .kernel = 3, .stride = 2},
    {.name = "dsc_net", .size = 8, .channels = 256, .kernel = 3},
    {.name = "", .size = 32, .channels = 32, .kernel = 5},
    {.name = "", .size = 32, .channels = 64, .kernel = 5, .stride = 2},
};

template <class Baseline>
Timed baseline_of(const Baseline& baseline, Pass pass, const Tensor& x, const Tensor& kernel,
                  const Tensor& dy) {
  switch (pass) {
    case Pass::forward:
      return {.run = [=] { return baseline.forward(x, kernel); }};
    case Pass::kernel:
      return {.run = [=] { return baseline.kernel_gradient(x, dy); }};
    case Pass::input:
      break;
  }
  return {.run = [=] { return baseline.input_gradient(kernel, dy); }};
}

Benchmark make(const ConvLayer& layer, Pass pass) {
  const Variable x(random_tensor(layer.input_shape(), "x"), pass == Pass::input);
  const Variable kernel(random_tensor(layer.kernel_shape(), "kernel"), pass == Pass::kernel);
  const auto op = [=] { return layer.convolve(x, kernel); };
  const WindowGeometry geometry = layer.geometry();
  const Tensor dy = random_tensor(layer.output_shape(), "upstream");
  return {.work = {.flops = layer.flops()},
          .perch = pass == Pass::forward ? forward(op)
                                         : backward(op, {pass == Pass::kernel ? kernel : x}),
          .baseline = layer.depthwise() ? baseline_of(LoopDepthwise{geometry}, pass, x.value(),
                                                      kernel.value(), dy)
                                        : baseline_of(Im2colConv{geometry, layer.filters}, pass,
                                                      x.value(), kernel.value(), dy)};
}

}  // namespace

void add_convolutions() {
  for (const ConvLayer& layer : layers) {
    const auto pass = [&](const char* name, Pass which) {
      add(fmt::format("{}, {}", layer.title(), name), Beside::baseline,
          [=] { return make(layer, which); });
    };
    pass("forward", Pass::forward);
    pass("weight gradient", Pass::kernel);
    if (layer.channels > 3) pass("data gradient", Pass::input);
  }
}

}  // namespace perch::bench
