#include <algorithm>
#include <cmath>
#include <numeric>

#include <perch/core/check.h>
#include <perch/core/ops/loss.h>
#include <perch/core/parallel.h>
#include <perch/core/storage.h>

namespace perch {
namespace {

// total / count as the loss; its gradient is `slope` times what arrives.
Variable mean_loss(const char* op, const double* partial, std::int64_t parts, double count,
                   const Variable& x, Tensor slope) {
  const double total = std::accumulate(partial, partial + parts, 0.0);
  return Variable::from_op(op, Tensor::scalar(static_cast<float>(total / count)), {x},
                           [slope = std::move(slope)](Tensor dy) -> std::vector<Tensor> {
                             Tensor dx(slope.shape());
                             const float factor = dy.item();
                             std::transform(slope.data(), slope.data() + slope.size(), dx.data(),
                                            [factor](float s) { return factor * s; });
                             return {std::move(dx)};
                           });
}

void check_arguments(const char* op, const Shape& logits, float label_smoothing) {
  PERCH_CHECK(logits.rank() == 2 && logits.size() > 0,
              "{}: logits of shape {} should be [N, classes] and not empty", op,
              logits.to_string());
  PERCH_CHECK(label_smoothing >= 0.0f && label_smoothing <= 1.0f,
              "{}: label smoothing {} is outside of [0, 1]", op, label_smoothing);
}

// target(row, c): the target's probability before smoothing. With z the logits and t the targets of
// a row: loss sum(t) log(sum(exp(z))) - sum(t z), slope (sum(t) softmax(z) - t) / N; z is taken
// relative to its largest.
template <class Target>
Variable cross_entropy(const char* op, const Variable& logits, float label_smoothing,
                       Target target) {
  const std::int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  const double keep = 1.0 - label_smoothing,
               spread = static_cast<double>(label_smoothing) / classes;
  const Chunks chunks(rows, 1024 / classes + 1);
  const auto partial = allocate_doubles(chunks.number());
  Tensor slope(logits.shape());
  parallel_for(chunks.number(), [&](std::int64_t i) {
    double total = 0;
    for (std::int64_t row = chunks[i].begin; row < chunks[i].end; ++row) {
      const float* const z = logits.value().data() + row * classes;
      float* const out = slope.data() + row * classes;
      const double shift = *std::max_element(z, z + classes);
      double exponentials = 0, targets = 0, product = 0;
      for (std::int64_t c = 0; c < classes; ++c) {
        const double t = keep * target(row, c) + spread;
        const double relative = z[c] - shift;
        exponentials += std::exp(relative);
        targets += t;
        product += t == 0.0 ? 0.0 : t * relative;  // a class at -infinity that nobody asks for
      }
      total += targets * std::log(exponentials) - product;
      for (std::int64_t c = 0; c < classes; ++c) {
        const double probability = std::exp(z[c] - shift) / exponentials;
        const double t = keep * target(row, c) + spread;
        out[c] = static_cast<float>((targets * probability - t) / static_cast<double>(rows));
      }
    }
    partial.get()[i] = total;
  });
  return mean_loss(op, partial.get(), chunks.number(), static_cast<double>(rows), logits,
                   std::move(slope));
}

}  // namespace

Variable sparse_softmax_cross_entropy(const Variable& logits, std::span<const std::int32_t> labels,
                                      float label_smoothing) {
  const char* const op = "sparse_softmax_cross_entropy";
  check_arguments(op, logits.shape(), label_smoothing);
  const std::int64_t classes = logits.shape()[1];
  PERCH_CHECK(static_cast<std::int64_t>(labels.size()) == logits.shape()[0],
              "{}: {} labels for logits of shape {}", op, labels.size(),
              logits.shape().to_string());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    PERCH_CHECK(labels[i] >= 0 && labels[i] < classes,
                "{}: label {} at index {} is outside of [0, {}); the last layer needs as many "
                "outputs as there are classes",
                op, labels[i], i, classes);
  }
  return cross_entropy(op, logits, label_smoothing, [labels](std::int64_t row, std::int64_t c) {
    return labels[static_cast<std::size_t>(row)] == c ? 1.0 : 0.0;
  });
}

Variable softmax_cross_entropy(const Variable& logits, const Tensor& targets,
                               float label_smoothing) {
  const char* const op = "softmax_cross_entropy";
  check_arguments(op, logits.shape(), label_smoothing);
  PERCH_CHECK(!targets.empty() && targets.shape() == logits.shape(),
              "{}: targets of shape {} for logits of shape {}", op, targets.shape().to_string(),
              logits.shape().to_string());
  const std::int64_t classes = logits.shape()[1];
  return cross_entropy(op, logits, label_smoothing, [&](std::int64_t row, std::int64_t c) {
    return static_cast<double>(targets.data()[row * classes + c]);
  });
}

Variable mean_squared_error(const Variable& x, const Tensor& target) {
  PERCH_CHECK(!target.empty() && x.shape() == target.shape() && target.size() > 0,
              "mean_squared_error: target of shape {} for values of shape {}",
              target.shape().to_string(), x.shape().to_string());
  const auto count = static_cast<double>(target.size());
  const Chunks chunks(target.size(), 16384);
  const auto partial = allocate_doubles(chunks.number());
  Tensor slope(target.shape());
  parallel_for(chunks.number(), [&](std::int64_t i) {
    double total = 0;
    for (std::int64_t at = chunks[i].begin; at < chunks[i].end; ++at) {
      const double difference = static_cast<double>(x.value().data()[at]) - target.data()[at];
      total += difference * difference;
      slope.data()[at] = static_cast<float>(2.0 * difference / count);
    }
    partial.get()[i] = total;
  });
  return mean_loss("mean_squared_error", partial.get(), chunks.number(), count, x,
                   std::move(slope));
}

}  // namespace perch
