// Optimizer steps over temp_net's largest weight, and over as many tensors as resnet20 has.
#include <fmt/format.h>

#include <perch/core/ops/elementwise.h>
#include <perch/optim/optimizers.h>

#include "bench.h"

namespace perch::bench {

void add_optimizers() {
  struct Weights {
    std::size_t tensors;
    std::int64_t elements;
  };
  for (const Weights& weights : {Weights{1, 327'680}, Weights{64, 4'096}}) {
    add(fmt::format("Adam step, {} x {} weights", weights.tensors, weights.elements),
        Beside::nothing, [=]() -> Benchmark {
          std::vector<Parameter> parameters;
          for (std::size_t i = 0; i < weights.tensors; ++i) {
            parameters.push_back(
                {fmt::to_string(i), Variable(random_tensor({weights.elements}, "weight"), true)});
          }
          const Tensor gradient = random_tensor({weights.elements}, "gradient");
          const auto prepare = [=] {
            for (const Parameter& p : parameters) reshape(p.variable, {-1}).backward(gradient);
          };
          const auto step = [=, adam = std::make_shared<Adam>()]() mutable {
            adam->step(parameters, 1e-3f);
            return parameters[0].variable.value();
          };
          // Weight, gradient and two moments read; all but the gradient written.
          return {moved(7 * static_cast<std::int64_t>(weights.tensors) * weights.elements),
                  {prepare, step}};
        });
  }
}

}  // namespace perch::bench
