#include <map>

#include <perch/core/check.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/graph.h>
#include <perch/layers/state.h>
#include <perch/ptq/bias_correction.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/pass.h>

namespace perch {
namespace {

using Means = std::vector<double>;

class ChannelMean {
 public:
  void add(const Tensor& y) {
    const auto channels = static_cast<std::size_t>(y.shape()[-1]);
    sums_.resize(channels, 0.0);
    const float* row = y.data();
    const std::int64_t rows = y.size() / y.shape()[-1];
    for (std::int64_t i = 0; i < rows; ++i, row += channels) {
      for (std::size_t c = 0; c < channels; ++c) sums_[c] += static_cast<double>(row[c]);
    }
    rows_ += rows;
  }
  Means mean() const {
    Means means = sums_;
    for (double& value : means) value /= static_cast<double>(rows_);
    return means;
  }

 private:
  Means sums_;
  std::int64_t rows_ = 0;
};

/// Of the outputs of all linear layers, or with `last` of that one.
std::map<std::string, ChannelMean> channel_means(Model& model, const Dataset& data,
                                                 const BiasCorrectionOptions& options,
                                                 const std::string& last) {
  std::map<std::string, ChannelMean> means;
  const auto note = [&](const LinearCall& call) {
    const std::string& name = call.layer.name();
    if (last.empty() || name == last) means[name].add(call.output.value());
  };
  run_passes(model, data, options.images, options.batch_size, {.on_linear = note, .last = last});
  return means;
}

/// The batch normalisation that reads a linear layer's output as it is.
BatchNorm* norm_behind(const WrappedLinear& linear) {
  if (activation_of(linear.layer()) != "linear") return nullptr;
  const auto reader = sole_reader(*linear.model, linear.node);
  if (!reader) return nullptr;
  Layer& layer = *linear.model->nodes()[static_cast<std::size_t>(*reader)].layer;
  return dynamic_cast<BatchNorm*>(&unwrapped(layer));
}

bool shift(const WrappedLinear& linear, const Means& by) {
  std::span<float> values;
  double sign = 1.0;
  if (Variable* const bias = find_weight(linear.layer(), "bias")) {
    values = bias->mutable_value().values();
  } else if (BatchNorm* const norm = norm_behind(linear)) {
    values = norm->moving_mean().values();
    sign = -1.0;
  }
  std::size_t i = 0;
  for (float& value : values) {
    value = static_cast<float>(static_cast<double>(value) + sign * by[i++]);
  }
  return !values.empty();
}

}  // namespace

BiasCorrection correct_biases(Model& model, Model& reference, const Dataset& data,
                              const BiasCorrectionOptions& options) {
  refuse_folded("correct_biases", model);
  check_images("correct_biases", model, data, options.images, options.batch_size);
  check_images("correct_biases, reference", reference, data, options.images, options.batch_size);
  const std::vector<WrappedLinear> layers = wrapped_linear_layers(model);
  PERCH_CHECK(!layers.empty(),
              "correct_biases: the model has no wrapped Conv2D, DepthwiseConv2D or Dense; quantize "
              "one first");
  const auto wanted = channel_means(reference, data, options, "");
  BiasCorrection result;
  for (const WrappedLinear& linear : layers) {
    const std::string& name = linear.layer().name();
    const auto target = wanted.find(name);
    PERCH_CHECK(target != wanted.end(),
                "correct_biases: the reference has no layer {}; give the float model that was "
                "quantized",
                name);
    Means by = target->second.mean();
    const Means have = channel_means(model, data, options, name).at(name).mean();
    PERCH_CHECK(
        by.size() == have.size(),
        "correct_biases: {} has {} channels, {} in the reference; give the float model that "
        "was quantized",
        name, have.size(), by.size());
    for (std::size_t c = 0; c < by.size(); ++c) by[c] -= have[c];
    (shift(linear, by) ? result.corrected : result.left).push_back(name);
  }
  return result;
}

}  // namespace perch
