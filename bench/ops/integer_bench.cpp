// Convolutions of quantized tensors, formed from their codes; the baseline is the same op with
// PERCH_INTEGER=off. Shares are of the peak of float products.
#include <fmt/format.h>

#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/integer_forward.h>

#include "bench.h"
#include "conv_layers.h"

namespace perch::bench {
namespace {

const std::vector<ConvLayer> layers{
    {.name = "temp_net", .size = 32, .channels = 3, .kernel = 3, .filters = 32},
    {.name = "resnet20", .size = 32, .channels = 16, .kernel = 3, .filters = 16},
    {.name = "resnet20", .size = 8, .channels = 64, .kernel = 3, .filters = 64},
    {.name = "resnet20", .size = 32, .channels = 16, .kernel = 3, .filters = 32, .stride = 2},
    {.name = "dsc_net", .size = 16, .channels = 64, .kernel = 1, .filters = 128},
    {.name = "dsc_net", .size = 32, .channels = 32, .kernel = 3},
};

Timed in_mode(IntegerForward mode, const std::function<Variable()>& op) {
  return {.prepare = [mode] { set_integer_forward(mode); },
          .run =
              [op] {
                Tensor result = op().value();
                set_integer_forward(IntegerForward::fast);
                return result;
              }};
}

Benchmark make(const ConvLayer& layer) {
  const auto quantized = [](const Shape& shape, const char* name) {
    return fake_quant(Variable(random_tensor(shape, name)), Variable(Tensor::scalar(-0.5f)),
                      Variable(Tensor::scalar(0.5f)), {});
  };
  const auto op = [layer, x = quantized(layer.input_shape(), "x"),
                   kernel = quantized(layer.kernel_shape(), "kernel")] {
    return layer.convolve(x, kernel);
  };
  return {.work = {.flops = layer.flops(), .integer = true},
          .perch = in_mode(IntegerForward::on, op),
          .baseline = in_mode(IntegerForward::off, op)};
}

}  // namespace

void add_integer_convolutions() {
  for (const ConvLayer& layer : layers) {
    add(fmt::format("integer {}, forward", layer.title()), Beside::baseline,
        [=] { return make(layer); });
  }
}

}  // namespace perch::bench
