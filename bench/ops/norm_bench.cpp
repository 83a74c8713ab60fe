// Batch normalisation and ReLU over the activations of temp_net's and resnet20's first layers.
#include <fmt/format.h>

#include <perch/core/ops/activation.h>
#include <perch/core/ops/batch_norm.h>

#include "bench.h"

namespace perch::bench {
namespace {

struct Normalise {
  Variable gamma, beta;
  mutable Tensor mean, variance;

  explicit Normalise(std::int64_t channels)
      : gamma(Tensor::full({channels}, 1.0f), true),
        beta(Tensor::zeros({channels}), true),
        mean(Tensor::zeros({channels})),
        variance(Tensor::full({channels}, 1.0f)) {}
  Variable operator()(const Variable& x) const {
    return batch_norm(x, gamma, beta, mean, variance, {.training = true});
  }
};

Variable activations(const Shape& shape) {
  return Variable(random_tensor(shape, "x"), true);
}

}  // namespace

void add_norms() {
  for (const Shape& shape : {Shape{64, 32, 32, 32}, Shape{64, 32, 32, 16}, Shape{64, 8, 8, 64}}) {
    const auto one = [&](const char* name, auto make) {
      add(fmt::format(fmt::runtime(name), shape.to_string()), Beside::nothing,
          [=] { return make(shape); });
    };
    // Read for the statistics, read and written.
    one("batch norm {}, training, forward", [](const Shape& s) -> Benchmark {
      return {moved(3 * s.size()),
              forward([x = activations(s), norm = Normalise(s[3])] { return norm(x); })};
    });
    // x and dy read for the sums, read again, and dx written.
    one("batch norm {}, training, backward", [](const Shape& s) -> Benchmark {
      const Variable x = activations(s);
      const Normalise norm(s[3]);
      return {moved(5 * s.size()), backward([=] { return norm(x); }, {x, norm.gamma, norm.beta})};
    });
    one("relu {}, forward", [](const Shape& s) -> Benchmark {
      return {moved(2 * s.size()), forward([x = activations(s)] { return relu(x); })};
    });
    one("relu {}, backward", [](const Shape& s) -> Benchmark {
      const Variable x = activations(s);
      return {moved(3 * s.size()), backward([=] { return relu(x); }, {x})};
    });
  }
}

}  // namespace perch::bench
