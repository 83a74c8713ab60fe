// Fake quantization and range tracking over temp_net's activations and its kernel-like neighbours,
// one range for all or one per channel of the last axis.
#include <fmt/format.h>

#include <perch/core/ops/fake_quant.h>

#include "bench.h"

namespace perch::bench {
namespace {

const Shape shape{64, 32, 32, 32};

struct Setting {
  std::vector<int> axes;
  Variable x, min, max;

  Setting(bool per_channel, bool learned)
      : axes(per_channel ? std::vector{3} : std::vector<int>{}),
        x(random_tensor(shape, "x"), true),
        min(Tensor::full(range_shape(), -0.4f), learned),
        max(Tensor::full(range_shape(), 0.4f), learned) {}
  Shape range_shape() const { return axes.empty() ? Shape{} : Shape{shape[3]}; }
  Variable operator()() const { return fake_quant(x, min, max, {.axes = axes}); }
};

}  // namespace

void add_quantizers() {
  for (const bool per_channel : {false, true}) {
    const auto one = [&](const char* op, const char* pass, auto make) {
      add(fmt::format("{} {}, per {}{}", op, shape.to_string(), per_channel ? "channel" : "tensor",
                      pass),
          Beside::nothing, [=] { return make(per_channel); });
    };
    one("range", "", [](bool channel) -> Benchmark {
      return {moved(shape.size()),
              {.run = [s = Setting(channel, false)] { return range_of(s.x.value(), s.axes).min; }}};
    });
    one("fake_quant", ", forward", [](bool channel) -> Benchmark {
      return {moved(2 * shape.size()), forward(Setting(channel, false))};
    });
    one("fake_quant", ", backward", [](bool channel) -> Benchmark {
      const Setting s(channel, false);
      return {moved(3 * shape.size()), backward(s, {s.x})};
    });
    one("fake_quant", ", backward with the range's gradients", [](bool channel) -> Benchmark {
      const Setting s(channel, true);
      return {moved(3 * shape.size()), backward(s, {s.x, s.min, s.max})};
    });
  }
}

}  // namespace perch::bench
