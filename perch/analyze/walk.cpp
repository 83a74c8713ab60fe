#include <utility>
#include <vector>

#include <perch/analyze/walk.h>

namespace perch {
namespace {

struct Inputs {
  std::vector<Variable> quantized, plain;
};

class Walk {
 public:
  explicit Walk(const WalkHooks& hooks) : hooks_(hooks) {}

  Twin run(Model& model, const Twin& x) {
    const auto index = [](NodeId id) { return static_cast<std::size_t>(id); };
    std::vector<int> uses(model.nodes().size(), 0);
    for (const Model::Node& node : model.nodes()) {
      for (const NodeId id : node.inputs) {
        if (id != Model::input) ++uses[index(id)];
      }
    }
    ++uses[index(model.output())];
    std::vector<Twin> values(model.nodes().size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Model::Node& node = model.nodes()[i];
      Inputs inputs;
      for (const NodeId id : node.inputs) {
        const Twin& value = id == Model::input ? x : values[index(id)];
        inputs.quantized.push_back(value.quantized);
        inputs.plain.push_back(value.plain);
      }
      values[i] = with_layer_name(*node.layer, [&] { return through(*node.layer, inputs); });
      if (hooks_.on_output) hooks_.on_output(*node.layer, values[i]);
      for (const NodeId id : node.inputs) {
        if (id != Model::input && --uses[index(id)] == 0) values[index(id)] = {};
      }
    }
    return values[index(model.output())];
  }

 private:
  Twin through(Layer& layer, const Inputs& inputs) {
    if (auto* const model = dynamic_cast<Model*>(&layer)) {
      return run(*model, {inputs.quantized.at(0), inputs.plain.at(0)});
    }
    if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
      const Variable& x = inputs.quantized.at(0);
      return {quantized(*input, "quantize_layer", input->quantizer(), x), inputs.plain.at(0)};
    }
    if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      return wrapped(*wrapper, inputs);
    }
    const Weights weights = layer.own_weights(inference_);
    return {layer.apply(inputs.quantized, weights, inference_),
            layer.apply(inputs.plain, weights, inference_)};
  }

  Twin wrapped(QuantizeWrapper& wrapper, const Inputs& inputs) {
    const auto by = [&](const std::string& prefix, Variable x) {
      const auto found = wrapper.quantizers().find(prefix);
      return found == wrapper.quantizers().end() ? x
                                                 : quantized(wrapper, prefix, *found->second, x);
    };
    Layer& layer = wrapper.layer();
    Twin y;
    if (auto* const model = dynamic_cast<Model*>(&layer)) {
      y = run(*model, {inputs.quantized.at(0), inputs.plain.at(0)});
    } else {
      Context context = inference_;
      if (wrapper.quantizers().contains("pre_activation")) {
        context.before_activation = [&](Variable x) { return by("pre_activation", std::move(x)); };
      }
      const Weights plain = wrapper.plain_weights({}, {}, inference_);
      Layer& computing = weighted_layer(layer);
      y.quantized =
          computing.apply(inputs.quantized, wrapper.quantized_weights(plain, inference_), context);
      y.plain = computing.apply(inputs.plain, plain, inference_);
    }
    y.quantized = by("output", by("post_activation", std::move(y.quantized)));
    return y;
  }

  Variable quantized(const Layer& layer, const std::string& prefix, Quantizer& quantizer,
                     const Variable& x) {
    const Variable y = quantizer.run(x, inference_);
    if (hooks_.on_quantizer) hooks_.on_quantizer({layer, prefix, quantizer, x, y});
    return y;
  }

  const WalkHooks& hooks_;
  const Context inference_ = Context::for_inference();
};

}  // namespace

Twin walk(Model& model, const Variable& x, const WalkHooks& hooks) {
  model.check_input(x);
  return Walk(hooks).run(model, {x, x});
}

}  // namespace perch
