#include <algorithm>
#include <cmath>
#include <numbers>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>
#include <perch/layers/state.h>
#include <perch/optim/optimizers.h>
#include <perch/ptq/adaround.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/pass.h>
#include <perch/ptq/soft_rounding.h>
#include <perch/quant/range_quantizer.h>

namespace perch {
namespace {

/// Rows along the first axis, gathered batch by batch.
class Rows {
 public:
  explicit Rows(std::int64_t count) : count_(count) {}
  void add(const Tensor& batch) {
    if (all_.empty()) all_ = Tensor(batch.shape().unbatched().batched(count_));
    std::ranges::copy(std::as_const(batch).values(), all_.data() + filled_);
    filled_ += batch.size();
  }
  std::int64_t count() const { return count_; }
  Tensor take(const std::vector<std::int64_t>& rows) const {
    const Shape row = all_.shape().unbatched();
    Tensor taken(row.batched(static_cast<std::int64_t>(rows.size())));
    float* to = taken.data();
    for (const std::int64_t i : rows) {
      to = std::copy_n(all_.data() + i * row.size(), row.size(), to);
    }
    return taken;
  }

 private:
  std::int64_t count_, filled_ = 0;
  Tensor all_;
};

/// A layer, what goes into it in the quantized model, and what comes out of it in the float one.
struct Task {
  WrappedLinear linear;
  std::string weight;
  Quantizer& quantizer;
  Rows inputs, targets;

  /// The linear part's output for a kernel, which may be anything.
  Variable output(const Tensor& x, const Variable& kernel) const {
    Layer& layer = linear.layer();
    Weights weights = layer.own_weights({});
    for (const auto& [name, spec] : linear.wrapper->config().weights) {
      weights.set(name, linear.wrapper->quantizers().at(name)->run(weights[name], {}));
    }
    weights.set(weight, kernel);
    Variable linear_part;
    Context context;
    context.before_activation = [&](Variable y) { return linear_part = std::move(y); };
    layer.apply({Variable(x)}, weights, context);
    return linear_part;
  }
};

/// The squared error of a layer's output, summed over channels, averaged over the rest.
struct SquaredError {
  double value;
  Tensor gradient;
};

SquaredError squared_error(const Tensor& y, const Tensor& target) {
  SquaredError error{0.0, Tensor(y.shape())};
  const auto places = static_cast<double>(y.size() / y.shape()[-1]);
  const auto factor = static_cast<float>(2.0 / places);
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const float difference = y.data()[i] - target.data()[i];
    error.value += static_cast<double>(difference) * static_cast<double>(difference);
    error.gradient.data()[i] = factor * difference;
  }
  error.value /= places;
  return error;
}

/// Of all images.
double error_of(const Task& task, const Variable& kernel, std::int64_t batch_size) {
  double sum = 0.0;
  const Chunks chunks(task.inputs.count(), batch_size);
  for (std::int64_t chunk = 0; chunk < chunks.number(); ++chunk) {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = chunks[chunk].begin; i < chunks[chunk].end; ++i) rows.push_back(i);
    const Variable y = task.output(task.inputs.take(rows), kernel);
    sum +=
        squared_error(y.value(), task.targets.take(rows)).value * static_cast<double>(rows.size());
  }
  return sum / static_cast<double>(task.inputs.count());
}

/// beta behind the warm start; `at` in [0, 1) of what lies behind it.
float annealed(const AdaRoundOptions& options, float at) {
  const float share = 0.5f * (1.0f + std::cos(std::numbers::pi_v<float> * at));
  return options.beta_to + (options.beta_from - options.beta_to) * share;
}

/// V after all iterations.
Tensor learn(const Task& task, const SoftRounding& rounding, const AdaRoundOptions& options) {
  const std::string name = task.linear.layer().name();
  std::vector<Parameter> parameters{{name, Variable(rounding.start(), true)}};
  const Variable& v = parameters[0].variable;
  Adam adam({.learning_rate = options.learning_rate});
  const Random random(options.seed, "adaround/" + name);
  const float warm = options.warm_start * static_cast<float>(options.iterations);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(options.batch_size));
  std::uint64_t draw = 0;
  for (std::int64_t i = 0; i < options.iterations; ++i) {
    throw_if_interrupted();
    for (std::int64_t& row : rows) row = random.bits(draw++) % task.inputs.count();
    const Variable y = task.output(task.inputs.take(rows), rounding.soft(v));
    y.backward(squared_error(y.value(), task.targets.take(rows)).gradient);
    const float behind = static_cast<float>(i) - warm;
    if (behind >= 0.0f) {
      const float left = static_cast<float>(options.iterations) - warm;
      rounding_penalty(v, annealed(options, behind / left), options.lambda).backward();
    }
    adam.step(parameters, options.learning_rate);
  }
  return v.value();
}

AdaRoundLayer round_layer(const Task& task, const AdaRoundOptions& options) {
  Layer& layer = task.linear.layer();
  Variable& kernel = *find_weight(layer, task.weight);
  const Tensor& weight = kernel.value();
  const SoftRounding rounding(weight, task.quantizer, channel_axes(layer.kind(), weight.shape()));
  const Tensor v = learn(task, rounding, options);
  // Through the quantizer, whose arithmetic gives a level's exact float.
  const Variable nearest = task.quantizer.run(Variable(weight), {});
  const Variable chosen = task.quantizer.run(Variable(rounding.hard(v)), {});
  AdaRoundLayer result{layer.name(), error_of(task, nearest, options.batch_size),
                       error_of(task, chosen, options.batch_size), rounding.moved(v)};
  const bool better = result.chosen < result.nearest;
  if (!better) {
    result.chosen = result.nearest;
    result.moved = 0.0;
  }
  kernel.mutable_value().copy_from((better ? chosen : nearest).value());
  task.quantizer.mode.observes = false;
  return result;
}

/// The quantizer of a layer's kernel when it rounds to the grid of a range.
Quantizer* rounding_quantizer(const WrappedLinear& linear, const std::string& weight) {
  const auto found = linear.wrapper->quantizers().find(weight);
  if (found == linear.wrapper->quantizers().end()) return nullptr;
  auto* const range = dynamic_cast<RangeQuantizer*>(found->second.get());
  return range != nullptr && range->mode.quantizes && !range->spec().observe_only ? range : nullptr;
}

void check(const AdaRoundOptions& o) {
  PERCH_CHECK(o.iterations >= 1, "adaround: {} iterations; it takes at least 1", o.iterations);
  PERCH_CHECK(o.learning_rate > 0.0f && std::isfinite(o.learning_rate),
              "adaround: learning rate {} must be above 0", o.learning_rate);
  PERCH_CHECK(o.lambda >= 0.0f && std::isfinite(o.lambda), "adaround: lambda {} is below 0",
              o.lambda);
  PERCH_CHECK(o.beta_to > 1.0f && o.beta_from >= o.beta_to && std::isfinite(o.beta_from),
              "adaround: beta goes from {} to {}; it must fall, and stay above 1", o.beta_from,
              o.beta_to);
  PERCH_CHECK(o.warm_start >= 0.0f && o.warm_start <= 1.0f,
              "adaround: warm start {} is outside of [0, 1]", o.warm_start);
}

Rows collected(Model& model, const Dataset& data, const AdaRoundOptions& options,
               const std::string& name, Variable LinearCall::*what) {
  Rows rows(options.images);
  bool found = false;
  run_passes(model, data, options.images, options.batch_size,
             {.on_linear =
                  [&](const LinearCall& call) {
                    if (call.layer.name() != name) return;
                    found = true;
                    rows.add((call.*what).value());
                  },
              .last = name});
  PERCH_CHECK(found,
              "adaround: the reference has no layer {}; give the float model that was quantized",
              name);
  return rows;
}

}  // namespace

std::vector<AdaRoundLayer> adaround(Model& model, Model& reference, const Dataset& data,
                                    const AdaRoundOptions& options) {
  check(options);
  refuse_folded("adaround", model);
  check_images("adaround", model, data, options.images, options.batch_size);
  check_images("adaround, reference", reference, data, options.images, options.batch_size);
  std::vector<AdaRoundLayer> results;
  for (const WrappedLinear& linear : wrapped_linear_layers(model)) {
    const std::string weight = main_weight(linear.layer().kind());
    Quantizer* const quantizer = rounding_quantizer(linear, weight);
    if (quantizer == nullptr) continue;
    const std::string& name = linear.layer().name();
    const Task task{linear, weight, *quantizer,
                    collected(model, data, options, name, &LinearCall::input),
                    collected(reference, data, options, name, &LinearCall::output)};
    results.push_back(round_layer(task, options));
    if (options.on_layer) options.on_layer(results.back());
  }
  PERCH_CHECK(!results.empty(),
              "adaround: no wrapped layer's kernel is rounded to the grid of a range; quantize one "
              "with AllValues, LastValue, MovingAverage, Fixed or a search");
  return results;
}

}  // namespace perch
