// Parts of the example networks, batch 64, training: fused, and layer by layer as the baseline.
#include <fmt/format.h>

#include <perch/fuse/fuse.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/quant/apply.h>

#include "bench.h"

namespace perch::bench {
namespace {

struct Part {
  const char* name;
  Shape input;
  Sequential (*layers)();
  bool reads_images = false;  ///< which take no gradient
};

const Conv2D::Options no_bias{.padding = Padding::same, .use_bias = false};

const std::vector<Part> parts{
    {"temp_net", {32, 32, 3}, temp_net, true},
    {"two of resnet20's convolutions, 16 filters",
     {32, 32, 16},
     [] {
       return Sequential{Conv2D(16, 3, no_bias), BatchNorm(), ReLU(),
                         Conv2D(16, 3, no_bias), BatchNorm(), ReLU()};
     }},
    {"two of resnet20's convolutions, 64 filters",
     {8, 8, 64},
     [] {
       return Sequential{Conv2D(64, 3, no_bias), BatchNorm(), ReLU(),
                         Conv2D(64, 3, no_bias), BatchNorm(), ReLU()};
     }},
    {"a block of dsc_net, 64 to 128 filters",
     {16, 16, 64},
     [] {
       return Sequential{DepthwiseConv2D(3, {.padding = Padding::same}),
                         BatchNorm(),
                         ReLU(),
                         Conv2D(128, 1),
                         BatchNorm(),
                         ReLU()};
     }},
    {"a block of mobilenet_v2, 24 filters",
     {32, 32, 24},
     [] {
       return Sequential{Conv2D(144, 1, no_bias),
                         BatchNorm(),
                         ReLU({.max_value = 6.0f}),
                         DepthwiseConv2D(3, {.padding = Padding::same, .use_bias = false}),
                         BatchNorm(),
                         ReLU({.max_value = 6.0f}),
                         Conv2D(24, 1, no_bias),
                         BatchNorm()};
     }},
};

std::shared_ptr<Model> build(const Part& part, bool quantized) {
  const auto model = std::make_shared<Sequential>(part.layers());
  model->build(part.input, {.seed = 1});
  if (quantized) {
    const QuantizeConfig config{.weights = {{"kernel", {.granularity = per_channel}}},
                                .activation = QuantSpec{.range = MovingAverage{}}};
    apply_in_place(*model, choose_configs(*model, [&](const Layer& layer) {
      return layer.kind().ends_with("Conv2D") ? std::optional(config) : std::nullopt;
    }));
  }
  return model;
}

/// A training pass: of a copy of its own, since ranges and statistics move.
Timed pass_of(std::shared_ptr<Model> model, bool fused, bool backwards, const Part& part) {
  const Variable x(random_tensor(part.input.batched(64), "x"), !part.reads_images);
  const auto plan = fused ? std::make_shared<FusedModel>(*model) : nullptr;
  const auto op = [=] {
    const Context context = Context::for_training(0, 0);
    return plan ? plan->forward(x, context) : model->forward(x, context);
  };
  if (!backwards) return forward(op);
  std::vector<Variable> leaves;
  if (x.requires_grad()) leaves.push_back(x);
  for (const StateEntry& entry : state_of(*model)) {
    if (entry.trainable) leaves.push_back(*entry.weight);
  }
  return backward(op, leaves);
}

}  // namespace

void add_blocks() {
  for (const Part& part : parts) {
    for (const bool quantized : {true, false}) {
      for (const bool backwards : {false, true}) {
        add(fmt::format("{}, {}, {}", part.name, quantized ? "8-bit QAT" : "float",
                        backwards ? "backward" : "forward"),
            Beside::baseline, [=]() -> Benchmark {
              const Timed ours = pass_of(build(part, quantized), true, backwards, part);
              return {counted(pass_of(build(part, quantized), true, backwards, part)), ours,
                      pass_of(build(part, quantized), false, backwards, part)};
            });
      }
    }
  }
}

}  // namespace perch::bench
