// Softmax cross-entropy of 10 and of 1000 classes, batch 64.
#include <fmt/format.h>

#include <perch/core/ops/loss.h>

#include "bench.h"

namespace perch::bench {

void add_losses() {
  for (const std::int64_t classes : {10, 1000}) {
    const auto make = [=](bool backwards) -> Benchmark {
      const Variable logits(random_tensor({64, classes}, "logits"), true);
      std::vector<std::int32_t> labels(64);
      for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
      const auto op = [=] { return sparse_softmax_cross_entropy(logits, labels); };
      // Read, and backwards the gradient written.
      return {moved((backwards ? 2 : 1) * logits.value().size()),
              backwards ? backward(op, {logits}) : forward(op)};
    };
    const std::string title = fmt::format("softmax cross-entropy [64, {}]", classes);
    add(title + ", forward", Beside::nothing, [=] { return make(false); });
    add(title + ", backward", Beside::nothing, [=] { return make(true); });
  }
}

}  // namespace perch::bench
