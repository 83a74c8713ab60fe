#include <utility>

#include <perch/core/ops/conv.h>
#include <perch/core/ops/conv_gradient.h>
#include <perch/core/ops/conv_product.h>
#include <perch/core/ops/dense.h>
#include <perch/core/parallel.h>
#include <perch/fuse/linear_block.h>
#include <perch/fuse/tail.h>
#include <perch/fuse/tail_gradient.h>
#include <perch/layers/conv.h>

namespace perch::fusion {
namespace {

Stages stages_of(const LinearBlock& block, const Context& context) {
  Stages stages{.inner = block.inner, .low = block.low, .high = block.high, .outer = block.outer};
  const auto moves = [&](const RangeQuantizer* quantizer, const Member& owner) {
    return quantizer != nullptr && quantizer->mode.observes && owner.context(context).training &&
           !std::holds_alternative<Fixed>(quantizer->spec().range);
  };
  stages.inner_moves = moves(block.inner, block.inner_owner);
  stages.outer_moves = moves(block.outer, block.outer_owner);
  if (block.norm) {
    auto& layer = static_cast<BatchNorm&>(*block.norm.layer);
    const Context own = block.norm.context(context);
    const Weights weights = layer.own_weights(own);
    stages.norm = NormStage{.gamma = weights.find("gamma"),
                            .beta = weights.find("beta"),
                            .moving_mean = &layer.moving_mean(),
                            .moving_variance = &layer.moving_variance(),
                            .momentum = layer.options().momentum,
                            .epsilon = layer.options().epsilon,
                            .training = layer.learns_statistics(own)};
  }
  return stages;
}

Weights weights_of(const Member& linear, const Context& context) {
  if (!linear) return {};
  const Context inner = linear.context(context);
  return linear.wrapper == nullptr ? linear.layer->own_weights(inner)
                                   : linear.wrapper->quantized_weights(
                                         linear.wrapper->plain_weights({}, {}, inner), inner);
}

struct Convolution {
  conv::Problem problem;
  Variable kernel, bias;

  /// Of a Conv2D or DepthwiseConv2D.
  static Convolution of(const Layer& layer, const Variable& x, const Weights& weights);
  Tensor bias_value() const { return bias.defined() ? bias.value() : Tensor(); }
};

Convolution Convolution::of(const Layer& layer, const Variable& x, const Weights& weights) {
  const auto make = [&](const char* op, const Variable& kernel, const auto& options,
                        std::int64_t filters, std::int64_t groups) -> Convolution {
    const Shape& k = kernel.shape();
    return {{WindowGeometry::of(op, x.shape(), {k[0], k[1]}, options.strides, options.padding,
                                options.dilation),
             filters, groups},
            kernel,
            weights.find("bias")};
  };
  if (layer.kind() == "Conv2D") {
    const auto& options = static_cast<const Conv2D&>(layer).options();
    const Variable& kernel = weights["kernel"];
    return make("conv2d", kernel, options, kernel.shape()[3], options.groups);
  }
  constexpr std::int64_t depthwise = 0;
  const Variable& kernel = weights["depthwise_kernel"];
  return make("depthwise_conv2d", kernel, static_cast<const DepthwiseConv2D&>(layer).options(),
              kernel.shape()[2] * kernel.shape()[3], depthwise);
}

/// The definition, for weights that are quantized already.
Variable composed(const LinearBlock& block, const Variable& x, const Weights& weights,
                  const Context& context) {
  Variable y = x;
  if (block.linear) y = block.linear.layer->apply({x}, weights, block.linear.context(context));
  if (block.inner != nullptr) y = block.inner->run(y, block.inner_owner.context(context));
  // The other members' quantizers belong to their wrappers.
  if (block.outer != nullptr && block.outer_owner.node == block.linear.node) {
    y = block.outer->run(y, block.outer_owner.context(context));
  }
  if (block.norm) y = (*block.norm.node)({y}, context);
  if (block.activation) y = (*block.activation.node)({y}, context);
  return y;
}

bool any_gradient(const Stages& stages, std::initializer_list<const Variable*> variables) {
  bool any =
      stages.norm && (stages.norm->gamma.requires_grad() || stages.norm->beta.requires_grad());
  for (const Variable* variable : variables) any |= variable->requires_grad();
  return any;
}

/// Nothing moves and nothing goes back. Undefined when the stages have no codes for some value.
Variable infer(const Convolution& conv, const Variable& x, const Stages& stages) {
  const conv::Product product(conv.problem, x.value(), conv.kernel.value(), conv.bias_value());
  auto tail = TailInference::of(stages, conv.problem.output_shape(), product.largest_unit());
  if (!tail) return {};
  product.run({.finish = [&](std::int64_t, std::int64_t first, std::int64_t count, float* part) {
    tail->add(first, part, count);
  }});
  return tail->finite() ? Variable(tail->output()) : Variable();
}

std::vector<Variable> inputs_of(const Variable& x, const Convolution& conv, const Stages& stages) {
  std::vector<Variable> inputs{x, conv.kernel, conv.bias};
  if (stages.norm) {
    inputs.push_back(stages.norm->gamma);
    inputs.push_back(stages.norm->beta);
  }
  return inputs;
}

/// The same in training. Undefined when the stages have no codes for some value; nothing has moved
/// then.
Variable train(const Convolution& conv, const Variable& x, const Stages& stages) {
  Tensor sums(conv.problem.output_shape());
  std::optional<TailResult> result;
  {
    const conv::Product product(conv.problem, x.value(), conv.kernel.value(), conv.bias_value());
    const bool moments = stages.norm && stages.norm->training && stages.inner == nullptr;
    Statistics statistics(product.units(), conv.problem.filters, moments);
    product.run({.all = sums.data(),
                 .finish = [&](std::int64_t unit, std::int64_t, std::int64_t count, float* part) {
                   statistics.add(unit, part, count);
                 }});
    if (!statistics.finish()) return {};
    result = run_tail(stages, sums, statistics);
    if (!result) return {};
  }
  const conv::Wanted wanted{x.requires_grad(), conv.kernel.requires_grad(),
                            conv.bias.requires_grad()};
  const bool gamma = stages.norm && stages.norm->gamma.requires_grad();
  const bool beta = stages.norm && stages.norm->beta.requires_grad();
  return Variable::from_op(
      "linear_block", std::move(result->output), inputs_of(x, conv, stages),
      [problem = conv.problem, wanted, gamma, beta, normed = stages.norm.has_value(),
       x_value = wanted.kernel ? x.value() : Tensor(), kernel = conv.kernel.value(),
       tail = std::move(result->tail)](Tensor dy) {
        TailGradient gradient(tail, dy, gamma, beta);
        const conv::TensorSource source(x_value);
        conv::Gradients all = conv::gradients(problem, source, kernel, gradient, wanted);
        std::vector<Tensor> gradients{std::move(all.input), std::move(all.kernel),
                                      std::move(all.bias)};
        if (normed) {
          gradients.push_back(std::move(gradient.gamma));
          gradients.push_back(std::move(gradient.beta));
        }
        return gradients;
      });
}

/// The stages behind sums that are there already. Undefined as above.
Variable run_stages(const Variable& sums, const Stages& stages) {
  const std::int64_t channels = sums.shape()[-1];
  const ChannelLayout layout(sums.value().size(), channels);
  const Chunks& chunks = layout.chunks();
  const bool moments = stages.norm && stages.norm->training && stages.inner == nullptr;
  Statistics statistics(chunks.number(), channels, moments);
  const float* const data = sums.value().data();
  parallel_for(chunks.number(), [&](std::int64_t i) {
    statistics.add(i, data + chunks[i].begin, chunks[i].size());
  });
  if (!statistics.finish()) return {};
  std::optional<TailResult> result = run_tail(stages, sums.value(), statistics);
  if (!result) return {};
  const bool gamma = stages.norm && stages.norm->gamma.requires_grad();
  const bool beta = stages.norm && stages.norm->beta.requires_grad();
  std::vector<Variable> inputs{sums};
  if (stages.norm) {
    inputs.push_back(stages.norm->gamma);
    inputs.push_back(stages.norm->beta);
  }
  return Variable::from_op(
      "tail_block", std::move(result->output), std::move(inputs),
      [gamma, beta, normed = stages.norm.has_value(), wanted = sums.requires_grad(),
       tail = std::move(result->tail)](Tensor dy) {
        TailGradient gradient(tail, dy, gamma, beta);
        std::vector<Tensor> gradients{wanted ? gradient.all(std::move(dy)) : Tensor()};
        if (normed) {
          gradients.push_back(std::move(gradient.gamma));
          gradients.push_back(std::move(gradient.beta));
        }
        return gradients;
      });
}

Variable run_fused(const LinearBlock& block, const Variable& x, const Weights& weights,
                   const Context& context) {
  if (lets_pass(block.inner) || lets_pass(block.outer)) return {};
  const Stages stages = stages_of(block, context);
  if (!block.linear) return run_stages(x, stages);
  if (block.linear.layer->kind() == "Dense") {
    if (x.shape().rank() != 2) return {};
    return run_stages(dense(x, weights["kernel"], weights.find("bias")), stages);
  }
  const Convolution conv = Convolution::of(*block.linear.layer, x, weights);
  const bool learns = any_gradient(stages, {&x, &conv.kernel, &conv.bias});
  return stages.moves() || learns ? train(conv, x, stages) : infer(conv, x, stages);
}

}  // namespace

Variable composed(const LinearBlock& block, const Variable& x, const Context& context) {
  return composed(block, x, weights_of(block.linear, context), context);
}

Variable run(const LinearBlock& block, const Variable& x, const Context& context) {
  // Quantizing the weights moves their ranges: once, whichever way is taken after.
  const Weights weights = weights_of(block.linear, context);
  const Variable y = run_fused(block, x, weights, context);
  return y.defined() ? y : composed(block, x, weights, context);
}

}  // namespace perch::fusion
