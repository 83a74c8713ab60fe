#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <string_view>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/warn.h>
#include <perch/train/score.h>
#include <perch/train/text.h>

namespace perch {
namespace {

// Images whose largest output is their label's; the first of equal ones, as argmax picks.
std::int64_t count_correct(const Tensor& output, const std::vector<std::int32_t>& labels) {
  const std::int64_t width = output.size() / static_cast<std::int64_t>(labels.size());
  std::int64_t correct = 0;
  const float* row = output.data();
  for (const std::int32_t label : labels) {
    correct += std::max_element(row, row + width) - row == label;
    row += width;
  }
  return correct;
}

}  // namespace

void Trainer::check_fits(const char* verb, const Dataset& data) const {
  PERCH_CHECK(model_.built(), "{}: the model is not built; call model.build(input shape) first",
              verb);
  PERCH_CHECK(data.size() > 0, "{}: the dataset is empty; give it at least one image", verb);
  PERCH_CHECK(data.image_shape() == model_.input_shape(),
              "{}: the images are {}, the model was built for {}; build it for the images' shape",
              verb, data.image_shape().to_string(), model_.input_shape().to_string());
}

void Trainer::plan() {
  fused_.reset();
  if (fuse_) fused_.emplace(model_);
}

Variable Trainer::forward(const Batch& batch, const Context& context) {
  const Variable x(batch.images);
  return fused_ ? fused_->forward(x, context) : model_.forward(x, context);
}

Trainer::Score Trainer::score(const Batch& batch, const Context& context) {
  const Variable output = forward(batch, context);
  if (!warned_ && loss_.options().from_logits && std::string_view(output.op()) == "softmax") {
    warned_ = true;
    warn(loss_.name() +
         " expects logits (from_logits = true), but the model ends in a softmax; the logits before "
         "it are used");
  }
  Score result{loss_(output, batch), count_correct(output.value(), batch.labels)};
  PERCH_CHECK(result.loss.value().size() == 1, "loss {}: result of shape {}, not a scalar",
              loss_.name(), result.loss.shape().to_string());
  return result;
}

Evaluation Trainer::evaluate(const Dataset& data, std::int64_t batch_size) {
  check_fits("evaluate", data);
  PERCH_CHECK(batch_size >= 1, "evaluate: batch size {} is below 1", batch_size);
  Loader loader(data, {.batch_size = batch_size});
  return evaluate(loader);
}

Evaluation Trainer::evaluate(Loader& loader) {
  const auto start = std::chrono::steady_clock::now();
  plan();
  Totals totals;
  Batch batch;
  loader.start(0);
  while (loader.next(batch)) {
    const Score batch_score = score(batch, Context::for_inference());
    totals.add(batch_score.loss.value().item(), batch_score.correct, batch.size());
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return {totals.mean_loss(), totals.accuracy(), totals.images, elapsed.count()};
}

Tensor Trainer::predict(const Dataset& data, std::int64_t batch_size) {
  check_fits("predict", data);
  PERCH_CHECK(batch_size >= 1, "predict: batch size {} is below 1", batch_size);
  Loader loader(data, {.batch_size = batch_size});
  plan();
  Tensor outputs(model_.output_shape().batched(data.size()));
  float* row = outputs.data();
  Batch batch;
  loader.start(0);
  while (loader.next(batch)) {
    const Variable output = forward(batch, Context::for_inference());
    row = std::ranges::copy(output.value().values(), row).out;
  }
  return outputs;
}

std::ostream& operator<<(std::ostream& out, const Evaluation& evaluation) {
  return out << fmt::format("loss {:.4f}, accuracy {:.2f} % ({} images, {} images/s)",
                            evaluation.loss, 100.0 * evaluation.accuracy, evaluation.count,
                            grouped(evaluation.images_per_second()));
}

}  // namespace perch
