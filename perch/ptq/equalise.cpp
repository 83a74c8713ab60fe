#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include <perch/core/check.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/graph.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/ptq/channels.h>
#include <perch/ptq/equalise.h>
#include <perch/ptq/parts.h>
#include <perch/quant/config.h>

namespace perch {
namespace {

using Scales = std::vector<double>;

/// What lies behind a linear layer.
struct Chain {
  Layer* first;
  BatchNorm* norm = nullptr;
  Layer* second = nullptr;  // linear
};

bool homogeneous_function(const std::string& activation) {
  return activation == "linear" || activation == "relu" || activation == "leaky_relu";
}

/// Whether f(a x) = a f(x) for a > 0, channel by channel, in inference.
bool homogeneous(Layer& layer) {
  static const std::set<std::string> kinds{
      "LeakyReLU", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
      "Flatten",   "Dropout",      "ZeroPadding2D"};
  const std::string kind = layer.kind();
  if (kind == "Activation") return homogeneous_function(activation_of(layer));
  if (kind != "ReLU") return kinds.contains(kind);
  LayerSpec spec;
  read_config(layer, spec);
  return std::get<float>(*spec.find("max_value")) == 0.0f;
}

Chain chain_behind(const Model& model, NodeId node) {
  const auto layer_of = [&](NodeId id) -> Layer& {
    return *model.nodes()[static_cast<std::size_t>(id)].layer;
  };
  Chain chain{&layer_of(node)};
  if (!homogeneous_function(activation_of(*chain.first))) return chain;
  const std::int64_t channels = Channels(*chain.first).outputs();
  for (auto at = sole_reader(model, node); at; at = sole_reader(model, *at)) {
    Layer& layer = layer_of(*at);
    if (is_linear(layer)) {
      chain.second = &layer;
      return chain;
    }
    if (auto* const norm = dynamic_cast<BatchNorm*>(&layer)) {
      const bool fits = norm->options().scale && norm->moving_mean().size() == channels;
      if (chain.norm != nullptr || !fits) return chain;
      chain.norm = norm;
    } else if (!homogeneous(layer)) {
      return chain;
    }
  }
  return chain;
}

void collect(const Model& model, std::vector<Chain>& chains) {
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    Layer& layer = *model.nodes()[i].layer;
    PERCH_CHECK(dynamic_cast<QuantizeWrapper*>(&layer) == nullptr &&
                    dynamic_cast<QuantizeLayer*>(&layer) == nullptr,
                "equalise: {} is quantized already; equalise the float model", layer.name());
    if (const auto* const inner = dynamic_cast<const Model*>(&layer)) {
      collect(*inner, chains);
    } else if (is_linear(layer)) {
      const Chain chain = chain_behind(model, static_cast<NodeId>(i));
      if (chain.norm != nullptr || chain.second != nullptr) chains.push_back(chain);
    }
  }
}

/// A batch normalisation's vectors; null where it has none of that name.
std::span<float> vector_of(BatchNorm& norm, const char* name) {
  Variable* const weight = find_weight(norm, name);
  return weight == nullptr ? std::span<float>() : weight->mutable_value().values();
}

float scaled(float value, double factor) {
  return static_cast<float>(static_cast<double>(value) * factor);
}

/// Brings the first layer's output channels to one size and lets the normalisation undo it.
void take_up(const Chain& chain) {
  Channels first(*chain.first);
  Scales scales = first.output_kernel();
  const Scales bias = first.output_bias();
  double logarithms = 0.0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = scales[i] == 0.0 ? 0.0 : std::max(scales[i], bias[i]);
    if (scales[i] == 0.0) continue;
    logarithms += std::log(scales[i]);
    ++count;
  }
  if (count == 0) return;
  const double mean = std::exp(logarithms / static_cast<double>(count));
  for (double& scale : scales) scale = scale == 0.0 ? 1.0 : scale / mean;
  first.divide_outputs(scales);

  const auto gamma = vector_of(*chain.norm, "gamma");
  const auto means = chain.norm->moving_mean().values();
  const auto variances = chain.norm->moving_variance().values();
  const double epsilon = static_cast<double>(chain.norm->options().epsilon);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const double t = scales[i], variance = static_cast<double>(variances[i]);
    gamma[i] = scaled(gamma[i], std::sqrt((variance + epsilon * t * t) / (variance + epsilon)));
    means[i] = scaled(means[i], 1.0 / t);
    variances[i] = scaled(variances[i], 1.0 / (t * t));
  }
}

/// r1: kernel and offset of each of the first layer's output channels as they act on the signal.
Scales signal_of(const Chain& chain) {
  const Channels first(*chain.first);
  Scales kernel = first.output_kernel(), offset = first.output_bias();
  if (chain.norm != nullptr) {
    const auto gamma = vector_of(*chain.norm, "gamma"), beta = vector_of(*chain.norm, "beta");
    const auto variances = chain.norm->moving_variance().values();
    const double epsilon = static_cast<double>(chain.norm->options().epsilon);
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      kernel[i] *= std::abs(static_cast<double>(gamma[i])) /
                   std::sqrt(static_cast<double>(variances[i]) + epsilon);
      offset[i] = beta.empty() ? 0.0 : std::abs(static_cast<double>(beta[i]));
    }
  }
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] > 0.0) kernel[i] = std::max(kernel[i], offset[i]);
  }
  return kernel;
}

/// Equalises a pair; the largest |s - 1|.
double balance(const Chain& chain) {
  Scales scales = signal_of(chain);
  Channels second(*chain.second);
  const Scales reads = second.input_kernel(static_cast<std::int64_t>(scales.size()));
  double change = 0.0;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const double r1 = scales[i], r2 = reads[i];
    scales[i] = r1 > 0.0 && r2 > 0.0 ? std::sqrt(r1 * r2) / r2 : 1.0;
    change = std::max(change, std::abs(scales[i] - 1.0));
  }
  second.multiply_inputs(scales);
  if (chain.norm == nullptr) {
    Channels(*chain.first).divide_outputs(scales);
    return change;
  }
  for (const char* const name : {"gamma", "beta"}) {
    std::size_t i = 0;
    for (float& value : vector_of(*chain.norm, name)) value = scaled(value, 1.0 / scales[i++]);
  }
  return change;
}

}  // namespace

Equalisation equalise(Model& model, const EqualiseOptions& options) {
  PERCH_CHECK(model.built(), "equalise: the model is not built; call build() first");
  PERCH_CHECK(options.rounds >= 1, "equalise: {} rounds; it takes at least 1", options.rounds);
  PERCH_CHECK(options.tolerance >= 0.0, "equalise: tolerance {} is below 0", options.tolerance);
  std::vector<Chain> chains;
  collect(model, chains);
  Equalisation result;
  for (const Chain& chain : chains) {
    if (chain.norm != nullptr) result.normalised.push_back(chain.first->name());
    if (chain.second != nullptr) {
      result.pairs.emplace_back(chain.first->name(), chain.second->name());
    }
  }
  const auto take_up_all = [&] {
    for (const Chain& chain : chains) {
      if (chain.norm != nullptr) take_up(chain);
    }
  };
  take_up_all();
  while (!result.pairs.empty() && result.rounds < options.rounds) {
    result.change = 0.0;
    for (const Chain& chain : chains) {
      if (chain.second != nullptr) result.change = std::max(result.change, balance(chain));
    }
    take_up_all();
    ++result.rounds;
    if (result.change < options.tolerance) break;
  }
  return result;
}

}  // namespace perch
