#include <perch/core/check.h>
#include <perch/io/keras_config.h>
#include <perch/io/tensorflow_limits.h>
#include <perch/layers/graph.h>
#include <perch/quant/wrapper.h>

namespace perch::io {

namespace {

class Findings {
 public:
  void add_layer(Layer& layer) {
    if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
      add(layer, "input", unknown_to_tensorflow(input->quantizer()));
    } else if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      add_kind(*wrapper, wrapper->layer());
      if (wrapper->config().integer_bias) add(layer, "bias", "int32 at the products' scale");
      for (const std::string& prefix : wrapper->quantizer_order()) {
        add(layer, prefix, unknown_to_tensorflow(*wrapper->quantizers().at(prefix)));
      }
    } else {
      add_kind(layer, layer);
    }
  }

  std::vector<std::string> texts;

 private:
  void add_kind(const Layer& outer, const Layer& layer) {
    if (dynamic_cast<const FoldedBatchNorm*>(&layer) != nullptr) {
      texts.push_back(outer.name() + ": batch normalisation that is folded into the layer");
    } else if (!is_keras_class(layer.kind())) {
      texts.push_back(fmt::format("{}: layers of the kind {}", outer.name(), layer.kind()));
    }
  }

  void add(const Layer& layer, const std::string& what, const std::string& unknown) {
    if (!unknown.empty()) texts.push_back(fmt::format("{}, {}: {}", layer.name(), what, unknown));
  }
};

}  // namespace

std::string unknown_to_tensorflow(const Quantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  const auto* const average = std::get_if<MovingAverage>(&spec.range);
  if (!follows_extremes(spec.range)) return "the quantizer " + policy_name(spec.range);
  if (average != nullptr && average->start != AverageStart::six) {
    return "a moving average that does not start at (-6, 6)";
  }
  if (spec.bits < 2) return "1 bit";
  if (spec.granularity.kind == Granularity::Kind::group) return "ranges for groups";
  if (spec.rounding == Rounding::half_even) return "rounding half to even";
  if (spec.rounding == Rounding::stochastic) return "stochastic rounding";
  if (spec.power_of_two_scale) return "scales that are powers of two";
  if (spec.observe_only) return "a range that is only observed";
  if (!quantizer.mode.quantizes || quantizer.mode.share != 1.0f) {
    return "quantization that a schedule has not switched on in full";
  }
  return {};
}

std::vector<std::string> unknown_to_tensorflow(Model& model) {
  Findings findings;
  for_each_layer(model, [&](Layer& layer) { findings.add_layer(layer); });
  return findings.texts;
}

}  // namespace perch::io
