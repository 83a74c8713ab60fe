#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include <perch/analyze/float_copy.h>
#include <perch/analyze/sensitivity.h>
#include <perch/core/check.h>
#include <perch/layers/state.h>
#include <perch/quant/config.h>
#include <perch/quant/quantizer.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

/// The layers that have a main weight.
void find_weighted(Model& model, std::vector<Layer*>& found) {
  for (const Model::Node& node : model.nodes()) {
    if (auto* const inner = dynamic_cast<Model*>(node.layer.get())) find_weighted(*inner, found);
    if (!main_weight(node.layer->kind()).empty()) found.push_back(node.layer.get());
  }
}

/// How the model quantizes main weights, by the layer's own name.
void find_specs(const Model& model, std::map<std::string, QuantSpec>& found) {
  for (const Model::Node& node : model.nodes()) {
    const Layer* layer = node.layer.get();
    if (const auto* const wrapper = dynamic_cast<const QuantizeWrapper*>(layer)) {
      layer = &weighted_layer(wrapper->layer());
      const auto spec = wrapper->config().weights.find(main_weight(layer->kind()));
      if (spec != wrapper->config().weights.end()) found.emplace(layer->name(), spec->second);
    }
    if (const auto* const inner = dynamic_cast<const Model*>(layer)) find_specs(*inner, found);
  }
}

QuantSpec measured_spec(const QuantSpec* own) {
  if (own == nullptr || std::holds_alternative<Binary>(own->range) ||
      std::holds_alternative<Ternary>(own->range)) {
    return {
        .granularity = per_channel, .symmetric = true, .narrow_range = true, .range = LastValue{}};
  }
  QuantSpec spec = *own;
  spec.observe_only = false;
  if (std::holds_alternative<AllValues>(spec.range) ||
      std::holds_alternative<MovingAverage>(spec.range)) {
    spec.range = LastValue{};
  }
  return spec;
}

Tensor quantized(const Layer& layer, const Tensor& weight, const QuantSpec& spec) {
  return with_layer_name(layer, [&] {
    const auto quantizer = make_quantizer(spec, TensorRole::weight);
    quantizer->build(weight.shape(), channel_axes(layer.kind(), weight.shape()));
    quantizer->run(Variable(weight), {.training = true});
    return quantizer->run(Variable(weight), Context::for_inference()).value();
  });
}

void check(const Model& model, const Dataset& data, const SensitivityOptions& options) {
  PERCH_CHECK(model.built(), "sensitivity: the model is not built; call build() first");
  PERCH_CHECK(options.images >= 1, "sensitivity: {} images; take at least 1", options.images);
  PERCH_CHECK(data.size() > 0, "sensitivity: the dataset is empty; give it at least one image");
  PERCH_CHECK(!options.bits.empty(), "sensitivity: no widths to measure; give at least one");
  for (const int bits : options.bits) {
    PERCH_CHECK(bits >= 2 && bits <= 16, "sensitivity: {} bits; a width is 2 to 16", bits);
  }
}

/// Where a layer stands while bits are taken away.
struct Candidate {
  const LayerSensitivity* layer;
  std::map<int, WidthScore>::const_iterator present;

  std::int64_t size() const { return layer->weights * present->first; }
  bool can_fall() const { return present != layer->scores.begin(); }
  bool can_rise() const { return present->first < 8; }
  Candidate risen() const { return {layer, std::next(present)}; }
  /// Of falling to the next lower width: increase of the loss for each bit.
  double cost() const {
    const auto lower = std::prev(present);
    const double increase = lower->second.loss - present->second.loss;
    const double saved =
        static_cast<double>(layer->weights) * static_cast<double>(present->first - lower->first);
    return std::isfinite(increase) ? increase / saved : std::numeric_limits<double>::infinity();
  }
};

std::vector<Candidate> candidates_of(const std::vector<LayerSensitivity>& layers) {
  std::vector<Candidate> candidates;
  for (const LayerSensitivity& layer : layers) {
    const auto start = layer.scores.find(8);
    PERCH_CHECK(start != layer.scores.end(),
                "allocate_bits: {} was not measured at 8 bits, where the allocation starts; add 8 "
                "to the widths",
                layer.name);
    candidates.push_back({&layer, start});
  }
  return candidates;
}

}  // namespace

Sensitivity sensitivity(Model& float_or_quantized, const Dataset& data,
                        const SensitivityOptions& options) {
  check(float_or_quantized, data, options);
  std::map<std::string, QuantSpec> specs;
  find_specs(float_or_quantized, specs);
  const std::unique_ptr<Model> model = float_copy(float_or_quantized);
  std::vector<Layer*> layers;
  find_weighted(*model, layers);
  PERCH_CHECK(!layers.empty(),
              "sensitivity: the model has no Conv2D, DepthwiseConv2D or Dense layer to quantize");

  const Dataset images = data.subset(0, std::min(options.images, data.size()));
  Trainer trainer(*model, Adam(), options.loss);
  if (options.configure) options.configure(trainer);
  const auto score = [&] {
    const Evaluation evaluation = trainer.evaluate(images, options.batch_size);
    return WidthScore{.loss = evaluation.loss, .accuracy = evaluation.accuracy};
  };
  Sensitivity result{.unquantized = score()};
  for (Layer* const layer : layers) {
    Tensor& weight = find_weight(*layer, main_weight(layer->kind()))->mutable_value();
    const Tensor plain = weight.clone();
    const auto own = specs.find(layer->name());
    LayerSensitivity& entry = result.layers.emplace_back(
        LayerSensitivity{.name = layer->name(),
                         .kind = layer->kind(),
                         .weights = weight.size(),
                         .spec = measured_spec(own == specs.end() ? nullptr : &own->second)});
    for (const int bits : options.bits) {
      QuantSpec spec = entry.spec;
      spec.bits = bits;
      weight.copy_from(quantized(*layer, plain, spec));
      entry.scores[bits] = score();
    }
    weight.copy_from(plain);
    if (options.on_layer) options.on_layer(entry);
  }
  return result;
}

BitAllocation allocate_bits(const std::vector<LayerSensitivity>& layers, double budget) {
  PERCH_CHECK(!layers.empty(), "allocate_bits: there are no layers; measure at least one");
  PERCH_CHECK(budget > 0.0, "allocate_bits: a budget of {}; it is a share above 0", budget);
  std::vector<Candidate> candidates = candidates_of(layers);
  std::int64_t full = 0, least = 0;
  for (const Candidate& candidate : candidates) {
    full += candidate.size();
    least += candidate.layer->weights * candidate.layer->scores.begin()->first;
  }
  // A part of a bit, for what rounding does to the product.
  const double allowed = budget * static_cast<double>(full) + 1e-3;
  const double smallest = static_cast<double>(least) / static_cast<double>(full);
  PERCH_CHECK(static_cast<double>(least) <= allowed,
              "allocate_bits: a budget of {} of the 8-bit size cannot be met; the smallest "
              "possible is {}",
              budget, std::ceil(smallest * 1e4) / 1e4);

  std::int64_t size = full;
  while (static_cast<double>(size) > allowed) {
    Candidate* cheapest = nullptr;
    for (Candidate& candidate : candidates) {
      if (!candidate.can_fall()) continue;
      if (cheapest == nullptr || candidate.cost() < cheapest->cost()) cheapest = &candidate;
    }
    size -= cheapest->size();
    --cheapest->present;
    size += cheapest->size();
  }
  // The last step down may have been a large one: smaller ones that fit are taken back, those
  // first that cost most.
  for (;;) {
    Candidate* dearest = nullptr;
    double most = 0.0;
    for (Candidate& candidate : candidates) {
      if (!candidate.can_rise()) continue;
      const Candidate up = candidate.risen();
      const bool fits = static_cast<double>(size - candidate.size() + up.size()) <= allowed;
      if (!fits || up.cost() <= most) continue;
      dearest = &candidate;
      most = up.cost();
    }
    if (dearest == nullptr) break;
    size -= dearest->size();
    *dearest = dearest->risen();
    size += dearest->size();
  }
  BitAllocation result{.share = static_cast<double>(size) / static_cast<double>(full)};
  for (const Candidate& candidate : candidates) {
    result.layers.push_back({candidate.layer->name, candidate.present->first});
  }
  return result;
}

}  // namespace perch
