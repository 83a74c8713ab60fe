#include <utility>
#include <variant>
#include <vector>

#include <perch/datasets/loader.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/pass.h>
#include <perch/quant/range_quantizer.h>

namespace perch {
namespace {

/// Training for quantizers. Stochastic rounding has no place here, so that they only observe in it.
const Context observing{.training = true};

bool starts_at_six(const QuantSpec& spec) {
  const auto* const average = std::get_if<MovingAverage>(&spec.range);
  return average != nullptr && average->start == AverageStart::six;
}

/// The range becomes the mean of what LastValue takes from each batch, this one being number
/// `observed`: from -6 and 6 a moving average would get nowhere in so few steps.
void average_range(RangeQuantizer& quantizer, const Variable& x, const std::vector<int>& channels,
                   std::int64_t observed) {
  QuantSpec spec = quantizer.spec();
  spec.range = LastValue{};
  RangeQuantizer last(std::move(spec));
  last.build(x.shape(), channels);
  last(x, observing);
  RangeQuantizer::State mean = last.state();
  const RangeQuantizer::State held = quantizer.state();
  const float share = 1.0f / static_cast<float>(observed + 1);
  for (const auto& [to, from] : {std::pair{&mean.min, &held.min}, {&mean.max, &held.max}}) {
    for (std::int64_t i = 0; observed > 0 && i < to->size(); ++i) {
      const float before = from->data()[i];
      to->data()[i] = before + (to->data()[i] - before) * share;
    }
  }
  quantizer.restore(mean);
}

class Pass {
 public:
  explicit Pass(const PassOptions& options) : options_(options) {}

  Variable run(Model& model, const Variable& x) {
    std::vector<int> uses(model.nodes().size(), 0);
    const auto index = [](NodeId id) { return static_cast<std::size_t>(id); };
    for (const Model::Node& node : model.nodes()) {
      for (const NodeId id : node.inputs) {
        if (id != Model::input) ++uses[index(id)];
      }
    }
    ++uses[index(model.output())];
    std::vector<Variable> values(model.nodes().size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Model::Node& node = model.nodes()[i];
      std::vector<Variable> inputs;
      for (const NodeId id : node.inputs) {
        inputs.push_back(id == Model::input ? x : values[index(id)]);
      }
      values[i] = with_layer_name(*node.layer, [&] { return through(*node.layer, inputs); });
      if (ended_) return {};
      for (const NodeId id : node.inputs) {
        if (id != Model::input && --uses[index(id)] == 0) values[index(id)] = {};
      }
    }
    return values[index(model.output())];
  }

 private:
  Variable through(Layer& layer, const std::vector<Variable>& inputs) {
    if (auto* const model = dynamic_cast<Model*>(&layer)) return run(*model, inputs.at(0));
    if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
      return activation(input->quantizer(), inputs.at(0));
    }
    if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      return wrapped(*wrapper, inputs);
    }
    return apply(layer, inputs, layer.own_weights({}), nullptr);
  }

  Variable wrapped(QuantizeWrapper& wrapper, const std::vector<Variable>& inputs) {
    const auto find = [&](const char* prefix) {
      const auto found = wrapper.quantizers().find(prefix);
      return found == wrapper.quantizers().end() ? nullptr : found->second.get();
    };
    Layer& layer = weighted_layer(wrapper.layer());
    Weights weights = wrapper.plain_weights({}, {}, {});
    for (const auto& [name, spec] : wrapper.config().weights) {
      const Variable& weight = weights[name];
      weights.set(name,
                  quantized(*wrapper.quantizers().at(name), weight,
                            channel_axes(layer.kind(), weight.shape()), options_.observe_weights));
    }
    Variable y = apply(layer, inputs, weights, find("pre_activation"));
    for (const char* const prefix : {"post_activation", "output"}) {
      if (Quantizer* const quantizer = find(prefix)) y = activation(*quantizer, y);
    }
    return y;
  }

  Variable apply(Layer& layer, const std::vector<Variable>& inputs, const Weights& weights,
                 Quantizer* before_activation) {
    const bool watched = options_.on_linear && is_linear(layer);
    Context context;
    context.training =
        options_.batch_statistics && layer.kind() == "BatchNormalization" && layer.trainable();
    if (watched || before_activation != nullptr) {
      context.before_activation = [&](Variable y) {
        if (watched) options_.on_linear({layer, inputs.at(0), y});
        return before_activation == nullptr ? y : activation(*before_activation, y);
      };
    }
    Variable y = layer.apply(inputs, weights, context);
    ended_ = !options_.last.empty() && layer.name() == options_.last;
    return y;
  }

  Variable activation(Quantizer& quantizer, const Variable& x) {
    return quantized(quantizer, x, {x.shape().rank() - 1}, options_.observe_activations);
  }

  Variable quantized(Quantizer& quantizer, const Variable& x, const std::vector<int>& channels,
                     bool observe) {
    if (observe && quantizer.mode.observes) {
      auto* const range = dynamic_cast<RangeQuantizer*>(&quantizer);
      if (range != nullptr && starts_at_six(range->spec())) {
        average_range(*range, x, channels, options_.observed);
      } else {
        quantizer.run(x, observing);
      }
    }
    return quantizer.run(x, Context::for_inference());
  }

  const PassOptions& options_;
  bool ended_ = false;
};

}  // namespace

Variable run_pass(Model& model, const Variable& x, const PassOptions& options) {
  model.check_input(x);
  return Pass(options).run(model, x);
}

void run_passes(Model& model, const Dataset& data, std::int64_t images, std::int64_t batch_size,
                PassOptions options) {
  Loader loader(data.subset(0, images), {.batch_size = batch_size});
  Batch batch;
  for (loader.start(0); loader.next(batch); ++options.observed) {
    run_pass(model, Variable(batch.images), options);
    options.observe_weights = false;  // they stay as they are
    if (options.after_pass) options.after_pass();
  }
}

}  // namespace perch
