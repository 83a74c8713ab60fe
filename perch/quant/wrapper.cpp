#include <algorithm>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/graph.h>
#include <perch/layers/spec.h>
#include <perch/quant/integer_bias.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

// The names and shapes of a layer's own weights.
class OwnWeights final : public Visitor {
 public:
  explicit OwnWeights(Layer& layer) { weighted_layer(layer).visit(*this); }

  void weight(std::string_view name, Variable& value) override {
    names.emplace_back(name);
    shapes.push_back(value.defined() ? value.shape() : Shape{});
  }
  void child(std::string_view, Visitable&) override {}
  void part(std::string_view, Visitable&) override {}

  std::vector<std::string> names;
  std::vector<Shape> shapes;
};

std::string label(const Layer& layer) {
  return layer.name().empty() ? layer.kind() : layer.name();
}

// Runs a step and puts layer and key before its error messages.
template <class Step>
auto named_errors(const Layer& layer, const std::string& key, const Step& step) {
  try {
    return step();
  } catch (const Error& error) {
    fail(error.code(), "quantize {}, {}: {}", label(layer), key, error.what());
  }
}

// The configuration with weights by their stored names.
QuantizeConfig resolved(Layer& layer, const QuantizeConfig& config) {
  const std::vector<std::string> names = OwnWeights(layer).names;
  QuantizeConfig result = config;
  result.weights.clear();
  if (const auto* const folded = dynamic_cast<const FoldedBatchNorm*>(&layer)) {
    result.fold = folded->statistics();
  }
  const std::string main = main_weight(weighted_layer(layer).kind());
  for (const auto& [key, spec] : config.weights) {
    const bool stored = std::find(names.begin(), names.end(), key) != names.end();
    const std::string name = stored || key != "kernel" ? key : main;
    PERCH_CHECK(std::find(names.begin(), names.end(), name) != names.end(),
                "quantize {}: a {} has no weight \"{}\"; it has {}", label(layer), layer.kind(),
                key, names.empty() ? "none" : choices(key, names));
    PERCH_CHECK(result.weights.emplace(name, spec).second,
                "quantize {}: weight \"{}\" is named twice, once as \"kernel\"", label(layer),
                name);
    PERCH_CHECK(
        !result.fold || name == main,
        "quantize {}: where batch normalisation is folded, {} can be quantized but not \"{}\"; "
        "leave one of them out",
        label(layer), main, name);
  }
  return result;
}

std::string activation_prefix(Layer& layer) {
  const std::string activation = activation_of(weighted_layer(layer));
  const bool before = activation == "softmax" || activation == "sigmoid" || activation == "tanh";
  return before ? "pre_activation" : "post_activation";
}

using Quantizers = std::map<std::string, std::unique_ptr<Quantizer>>;

// `config` must be resolved.
Quantizers make_quantizers(Layer& layer, const QuantizeConfig& config) {
  Quantizers result;
  const auto add = [&](const std::string& prefix, const QuantSpec& spec, TensorRole role) {
    result[prefix] = named_errors(layer, prefix, [&] { return make_quantizer(spec, role); });
  };
  for (const auto& [name, spec] : config.weights) add(name, spec, TensorRole::weight);
  if (config.activation) add(activation_prefix(layer), *config.activation, TensorRole::activation);
  if (config.output) add("output", *config.output, TensorRole::activation);
  return result;
}

void build_ranges(Layer& layer, const Quantizers& quantizers, const Shape& output) {
  const OwnWeights weights(layer);
  const Shape batch = output.batched(1);
  for (const auto& [prefix, quantizer] : quantizers) {
    named_errors(layer, prefix, [&, &prefix = prefix, &quantizer = quantizer] {
      const auto weight = std::find(weights.names.begin(), weights.names.end(), prefix);
      if (weight != weights.names.end()) {
        const Shape& shape =
            weights.shapes[static_cast<std::size_t>(weight - weights.names.begin())];
        quantizer->build(shape, channel_axes(weighted_layer(layer).kind(), shape));
        return;
      }
      quantizer->build(batch, {batch.rank() - 1});
      const std::vector<int>& axes = quantizer->axes();
      PERCH_CHECK(std::find(axes.begin(), axes.end(), 0) == axes.end(),
                  "axis 0 is the batch, which cannot keep ranges; the others are 1 to {}",
                  batch.rank() - 1);
    });
  }
}

}  // namespace

QuantizeWrapper::QuantizeWrapper(std::unique_ptr<Layer> layer, QuantizeConfig config)
    : layer_(std::move(layer)),
      config_(resolved(*layer_, config)),
      quantizers_(make_quantizers(*layer_, config_)) {
  const std::string& own = weighted_layer(*layer_).name();
  if (!own.empty()) set_name("quant_" + own);
  set_trainable(layer_->trainable());
  for (const std::string& name : OwnWeights(*layer_).names) {
    if (quantizers_.contains(name)) order_.push_back(name);
  }
  for (const char* const prefix : {"pre_activation", "post_activation", "output"}) {
    if (quantizers_.contains(prefix)) order_.emplace_back(prefix);
  }
}

void QuantizeWrapper::check(Layer& layer, const QuantizeConfig& config, const Shape& output) {
  build_ranges(layer, make_quantizers(layer, resolved(layer, config)), output);
}

Shape QuantizeWrapper::build(const std::vector<Shape>& inputs, const WeightInit& init) {
  const Shape output = layer_->build(inputs, init);
  build_quantizers(output);
  return output;
}

void QuantizeWrapper::build_quantizers(const Shape& output) {
  build_ranges(*layer_, quantizers_, output);
  channels_ = output.rank() == 0 ? 1 : output[-1];
}

Variable QuantizeWrapper::quantize(const std::string& prefix, const Variable& x,
                                   const Context& context) {
  const auto found = quantizers_.find(prefix);
  if (found == quantizers_.end()) return x;
  Quantizer& quantizer = *found->second;
  if (quantizer.spec().rounding != Rounding::stochastic) return quantizer.run(x, context);
  // Random numbers of its own for every quantizer.
  Context own = context;
  own.seed = Random(context.seed, name() + "/" + prefix).bits(0);
  return quantizer.run(x, own);
}

Context QuantizeWrapper::inner_context(const Context& context) const {
  return layer_->own_context(context);
}

Weights QuantizeWrapper::plain_weights(const std::vector<Variable>& inputs, const Weights& given,
                                       const Context& inner) {
  if (auto* const folded = dynamic_cast<FoldedBatchNorm*>(layer_.get())) {
    return folded->fold(inputs, given, inner);
  }
  Weights weights = layer_->own_weights(inner);
  for (const auto& [name, value] : given) weights.set(name, value);
  return weights;
}

Weights QuantizeWrapper::quantized_weights(Weights plain, const Context& inner) {
  for (const auto& [name, spec] : config_.weights) {
    plain.set(name, quantize(name, plain[name], inner));
  }
  if (config_.integer_bias && plain.contains("bias")) {
    PERCH_CHECK(input_ != nullptr,
                "{}: an integer bias needs a quantized input, and nothing that feeds the layer "
                "quantizes any more",
                name());
    const std::vector<double> scales = integer_bias_scales();
    if (!scales.empty()) plain.set("bias", integer_bias(plain["bias"], scales));
  }
  return plain;
}

Variable QuantizeWrapper::apply(const std::vector<Variable>& inputs, const Weights& weights,
                                const Context& context) {
  const Context own = inner_context(context);
  const Weights quantized = quantized_weights(plain_weights(inputs, weights, own), own);
  if (auto* const folded = dynamic_cast<FoldedBatchNorm*>(layer_.get())) {
    Layer& linear = folded->linear();
    const Variable y = linear.apply(inputs, quantized, linear.own_context(own));
    return quantize("output", quantize("post_activation", folded->finish(y, own), own), own);
  }
  if (!config_.activation) {
    return quantize("output", layer_->apply(inputs, quantized, own), own);
  }
  Context inner = own;
  const bool before = quantizers_.contains("pre_activation");
  if (before) {
    inner.before_activation = [&](Variable x) { return quantize("pre_activation", x, own); };
  }
  const Variable y = layer_->apply(inputs, quantized, inner);
  return quantize("output", before ? y : quantize("post_activation", y, own), own);
}

void QuantizeWrapper::connect(const Model& model, int node) {
  input_ = config_.integer_bias ? feeding_quantizer(model, node) : nullptr;
}

std::vector<double> QuantizeWrapper::integer_bias_scales() const {
  if (input_ == nullptr) return {};
  const Layer& layer = weighted_layer(*layer_);
  const auto kernel = quantizers_.find(main_weight(layer.kind()));
  return bias_scales(*input_, *kernel->second, channels_);
}

void QuantizeWrapper::set_bits(const std::string& prefix, int bits) {
  const auto found = quantizers_.find(prefix);
  PERCH_CHECK(found != quantizers_.end(), "{}: it has no quantizer of \"{}\", only of {}", name(),
              prefix, choices(prefix, order_));
  with_layer_name(*this, [&] { found->second->set_bits(bits); });
  const auto weight = config_.weights.find(prefix);
  if (weight != config_.weights.end()) {
    weight->second.bits = bits;
  } else {
    (prefix == "output" ? config_.output : config_.activation)->bits = bits;
  }
}

void QuantizeWrapper::visit(Visitor& visitor) {
  if (visitor.has("integer_bias")) visitor.config("integer_bias", config_.integer_bias);
  visitor.child("layer", *layer_);
  visitor.counter("optimizer_step", optimizer_step_);
  for (const std::string& prefix : order_) visitor.part(prefix, *quantizers_.at(prefix));
}

QuantizeLayer::QuantizeLayer(QuantSpec spec)
    : quantizer_(make_quantizer(spec, TensorRole::activation)) {
  set_name("quantize_layer");
}

Shape QuantizeLayer::build_one(const Shape& input, const WeightInit&) {
  const Shape batch = input.batched(1);
  quantizer_->build(batch, {batch.rank() - 1});
  const std::vector<int>& axes = quantizer_->axes();
  PERCH_CHECK(std::find(axes.begin(), axes.end(), 0) == axes.end(),
              "axis 0 is the batch, which cannot keep ranges");
  return input;
}

Variable QuantizeLayer::apply_one(const Variable& x, const Weights&, const Context& context) {
  return quantizer_->run(x, context);
}

void QuantizeLayer::visit(Visitor& visitor) {
  visitor.part("quantize_layer", *quantizer_);
  visitor.counter("optimizer_step", optimizer_step_);
}

bool is_quantized(const Layer& layer) {
  return dynamic_cast<const QuantizeWrapper*>(&layer) != nullptr ||
         dynamic_cast<const QuantizeLayer*>(&layer) != nullptr;
}

void for_each_quantizer(Model& model, const std::function<void(const PlacedQuantizer&)>& use) {
  for_each_layer(model, [&](Layer& layer) {
    if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
      use({layer, layer.name(), input->quantizer()});
    } else if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      for (const std::string& prefix : wrapper->quantizer_order()) {
        use({layer, prefix, *wrapper->quantizers().at(prefix),
             wrapper->config().weights.contains(prefix)});
      }
    }
  });
}

ModelQuantizers quantizers_of(Model& model) {
  ModelQuantizers found;
  for_each_quantizer(model, [&](const PlacedQuantizer& placed) {
    (placed.of_weight ? found.weights : found.activations).push_back(&placed.quantizer);
  });
  return found;
}

// Beside the classes, so that whoever has one of these layers has its registration linked too.
namespace {

std::unique_ptr<Layer> make_wrapper(const LayerSpec& spec) {
  std::unique_ptr<Layer> layer;
  QuantizeConfig config;
  for (const auto& [role, child] : spec.children) {
    if (role == "layer") {
      layer = make_layer(child);
    } else if (role == "output") {
      config.output = spec_from_config(child);
    } else if (role == "pre_activation" || role == "post_activation") {
      config.activation = spec_from_config(child);
    } else {
      config.weights[role] = spec_from_config(child);
    }
  }
  if (layer == nullptr) fail(ErrorCode::bad_data, "a QuantizeWrapper without a layer");
  auto wrapper = std::make_unique<QuantizeWrapper>(std::move(layer), std::move(config));
  apply_config(spec, *wrapper);
  for (const auto& [role, child] : spec.children) {
    const auto part = wrapper->quantizers().find(role);
    if (part != wrapper->quantizers().end()) apply_config(child, *part->second);
  }
  return wrapper;
}

std::unique_ptr<Layer> make_quantize_layer(const LayerSpec& spec) {
  if (spec.children.size() != 1 || spec.children[0].role != "quantize_layer") {
    fail(ErrorCode::bad_data, "a QuantizeLayer without its quantizer");
  }
  auto layer = std::make_unique<QuantizeLayer>(spec_from_config(spec.children[0].layer));
  apply_config(spec, *layer);
  apply_config(spec.children[0].layer, layer->quantizer());
  return layer;
}

// A specification that comes from a file is bad data, not bad usage.
LayerFactory from_file(std::unique_ptr<Layer> (*make)(const LayerSpec&)) {
  return [make](const LayerSpec& spec) {
    try {
      return make(spec);
    } catch (const Error& error) {
      fail(ErrorCode::bad_data, "{}: {}", spec.name.empty() ? spec.kind : spec.name, error.what());
    }
  };
}

[[maybe_unused]] const bool registered = [] {
  register_layer("QuantizeWrapper", from_file(make_wrapper));
  register_layer("QuantizeLayer", from_file(make_quantize_layer));
  return true;
}();

}  // namespace
}  // namespace perch
