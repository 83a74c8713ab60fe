#include <string_view>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/loss.h>
#include <perch/train/loss.h>

namespace perch {
namespace {

void check(std::string_view name, const LossOptions& options) {
  PERCH_CHECK(options.label_smoothing >= 0.0f && options.label_smoothing < 1.0f,
              "{}: label smoothing {} is outside [0, 1)", name, options.label_smoothing);
}

Variable logits_of(std::string_view name, const Variable& output, const LossOptions& options) {
  if (std::string_view(output.op()) == "softmax") return output.inputs().front();
  PERCH_CHECK(options.from_logits,
              "{}: from_logits = false says that the model ends in a softmax, but its output comes "
              "from {}; end the model with a softmax, or leave from_logits = true",
              name, *output.op() == '\0' ? "its input" : fmt::format("'{}'", output.op()));
  return output;
}

// [N, C], (1 - smoothing) one_hot + smoothing / C.
Tensor one_hot(const Batch& batch, const Shape& output, float smoothing) {
  PERCH_CHECK(output.rank() == 2 && output[0] == batch.size(),
              "loss: an output of shape {} does not fit {} labels; the model must put out one "
              "number per class",
              output.to_string(), batch.size());
  const std::int64_t classes = output[1];
  Tensor targets = Tensor::full(output, smoothing / static_cast<float>(classes));
  for (std::int64_t i = 0; i < batch.size(); ++i) {
    const std::int32_t label = batch.labels[static_cast<std::size_t>(i)];
    PERCH_CHECK(label >= 0 && label < classes, "loss: label {} is outside [0, {})", label, classes);
    targets.data()[i * classes + label] += 1.0f - smoothing;
  }
  return targets;
}

}  // namespace

Loss::Loss(std::string name, Function function, LossOptions options)
    : name_(std::move(name)), function_(std::move(function)), options_(options) {
  PERCH_CHECK(function_ != nullptr, "loss {}: no function given", name_);
}

Loss sparse_categorical_crossentropy(LossOptions options) {
  constexpr const char* name = "sparse_categorical_crossentropy";
  check(name, options);
  return {name,
          [options](const Variable& output, const Batch& batch) {
            return sparse_softmax_cross_entropy(logits_of(name, output, options), batch.labels,
                                                options.label_smoothing);
          },
          options};
}

Loss categorical_crossentropy(LossOptions options) {
  constexpr const char* name = "categorical_crossentropy";
  check(name, options);
  return {name,
          [options](const Variable& output, const Batch& batch) {
            return softmax_cross_entropy(logits_of(name, output, options),
                                         one_hot(batch, output.shape(), 0.0f),
                                         options.label_smoothing);
          },
          options};
}

Loss mean_squared_error(LossOptions options) {
  constexpr const char* name = "mean_squared_error";
  check(name, options);
  options.from_logits = false;
  return {name,
          [options](const Variable& output, const Batch& batch) {
            return mean_squared_error(output,
                                      one_hot(batch, output.shape(), options.label_smoothing));
          },
          options};
}

}  // namespace perch
