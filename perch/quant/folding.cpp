#include <algorithm>
#include <cmath>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/ops/channel_statistics.h>
#include <perch/core/ops/elementwise.h>
#include <perch/layers/graph.h>
#include <perch/layers/spec.h>
#include <perch/quant/folding.h>

namespace perch {
namespace {

// A gamma of 0 would leave nothing to divide by.
constexpr float least_gamma = 1e-6f;

Variable negative(const Variable& x) {
  return multiply(x, Variable(Tensor::scalar(-1.0f)));
}

/// The kernel times one factor [C] per output channel.
Variable scaled(const Variable& kernel, const Variable& factor, const std::string& layer_kind) {
  std::vector<std::int64_t> extents;
  for (const int axis : channel_axes(layer_kind, kernel.shape())) {
    extents.push_back(kernel.shape()[axis]);
  }
  return multiply(kernel, extents.size() == 1 ? factor : reshape(factor, extents));
}

Variable sum_where_defined(const Variable& a, const Variable& b) {
  if (!a.defined()) return b;
  return b.defined() ? add(a, b) : a;
}

}  // namespace

FoldedBatchNorm::FoldedBatchNorm(std::unique_ptr<Layer> linear, std::unique_ptr<BatchNorm> norm,
                                 FoldStatistics statistics)
    : linear_(std::move(linear)), norm_(std::move(norm)), statistics_(statistics) {
  PERCH_CHECK(linear_ != nullptr && norm_ != nullptr && !main_weight(linear_->kind()).empty(),
              "FoldedBatchNorm: takes a Conv2D, DepthwiseConv2D or Dense and a BatchNormalization");
  PERCH_CHECK(activation_of(*linear_) == "linear",
              "FoldedBatchNorm: {} applies {} before the batch normalisation, which cannot be "
              "folded through it; make that a layer behind the normalisation",
              linear_->name(), activation_of(*linear_));
  set_name("folded_" + linear_->name());
  set_trainable(linear_->trainable() || norm_->trainable());
}

Shape FoldedBatchNorm::build_one(const Shape& input, const WeightInit& init) {
  return norm_->build({linear_->build({input}, init)}, init);
}

/// Whether finish() normalises by the batch what was scaled by moving statistics.
bool FoldedBatchNorm::corrects(const Context& context) const {
  return statistics_ == FoldStatistics::running && norm_->learns_statistics(context);
}

/// gamma over the moving deviation.
Tensor FoldedBatchNorm::running_factor() const {
  const Variable gamma = norm_->own_weights({}).find("gamma");
  const ChannelStatistics statistics = channel_statistics(
      {}, norm_->moving_mean(), norm_->moving_variance(), {.epsilon = norm_->options().epsilon});
  Tensor factor = statistics.inverse_deviation.value().clone();
  for (std::int64_t c = 0; gamma.defined() && c < factor.size(); ++c) {
    const float value = gamma.value().data()[c];
    factor.data()[c] *= std::copysign(std::max(std::abs(value), least_gamma), value);
  }
  return factor;
}

Weights FoldedBatchNorm::fold(const std::vector<Variable>& inputs, const Weights& given,
                              const Context& context) {
  const Context of_linear = linear_->own_context(context);
  Weights weights = linear_->own_weights(of_linear);
  for (const auto& [name, value] : given) weights.set(name, value);
  const std::string kind = linear_->kind(), kernel = main_weight(kind);
  Weights folded;
  if (corrects(context)) {
    const Variable factor(running_factor());
    folded.set(kernel, scaled(weights[kernel], factor, kind));
    const Variable bias = weights.find("bias");
    if (bias.defined()) folded.set("bias", multiply(bias, factor));
    return folded;
  }
  const bool learns = norm_->learns_statistics(context);
  const Variable y = learns ? linear_->apply(inputs, weights, of_linear) : Variable();
  const ChannelStatistics statistics =
      channel_statistics(y, norm_->moving_mean(), norm_->moving_variance(),
                         {.momentum = norm_->options().momentum,
                          .epsilon = norm_->options().epsilon,
                          .training = learns});
  const Weights affine = norm_->own_weights(norm_->own_context(context));
  const Variable gamma = affine.find("gamma");
  const Variable factor = gamma.defined() ? multiply(gamma, statistics.inverse_deviation)
                                          : statistics.inverse_deviation;
  const Variable distance = sum_where_defined(weights.find("bias"), negative(statistics.mean));
  folded.set(kernel, scaled(weights[kernel], factor, kind));
  folded.set("bias", sum_where_defined(affine.find("beta"), multiply(distance, factor)));
  return folded;
}

Variable FoldedBatchNorm::finish(const Variable& y, const Context& context) {
  if (!corrects(context)) return y;
  Tensor inverse = running_factor();
  for (float& value : inverse.values()) value = 1.0f / value;
  const Context of_norm = norm_->own_context(context);
  return norm_->apply({scale_channels(y, inverse)}, norm_->own_weights(of_norm), of_norm);
}

Variable FoldedBatchNorm::apply_one(const Variable& x, const Weights& weights,
                                    const Context& context) {
  const Weights folded = fold({x}, weights, context);
  return finish(linear_->apply({x}, folded, linear_->own_context(context)), context);
}

void FoldedBatchNorm::visit(Visitor& visitor) {
  std::string name = fold_statistics_name(statistics_);
  visitor.config("statistics", name);
  statistics_ = fold_statistics(name);
  visitor.child("linear", *linear_);
  visitor.child("batch_norm", *norm_);
}

std::pair<std::unique_ptr<Layer>, std::unique_ptr<BatchNorm>> FoldedBatchNorm::release() {
  return {std::move(linear_), std::move(norm_)};
}

const Layer& weighted_layer(const Layer& layer) {
  const auto* const folded = dynamic_cast<const FoldedBatchNorm*>(&layer);
  return folded == nullptr ? layer : folded->linear();
}

Layer& weighted_layer(Layer& layer) {
  return const_cast<Layer&>(weighted_layer(std::as_const(layer)));
}

std::optional<NodeId> foldable_norm(const Model& model, NodeId node) {
  Layer& layer = *model.nodes()[static_cast<std::size_t>(node)].layer;
  if (main_weight(layer.kind()).empty() || activation_of(layer) != "linear") return std::nullopt;
  const auto next = sole_reader(model, node);
  if (!next) return std::nullopt;
  const Layer& behind = *model.nodes()[static_cast<std::size_t>(*next)].layer;
  return dynamic_cast<const BatchNorm*>(&behind) == nullptr ? std::nullopt : next;
}

void fold_batch_norm(Model& model, NodeId node, FoldStatistics statistics) {
  const auto norm = foldable_norm(model, node);
  std::unique_ptr<Layer>& place = model.mutable_nodes()[static_cast<std::size_t>(node)].layer;
  PERCH_CHECK(norm,
              "fold {}: only a Conv2D, DepthwiseConv2D or Dense without activation function can be "
              "folded, and only where a BatchNormalization alone reads its output",
              place->name());
  std::unique_ptr<Layer> removed = remove_node(model, *norm);
  std::unique_ptr<BatchNorm> behind(&dynamic_cast<BatchNorm&>(*removed.release()));
  place = std::make_unique<FoldedBatchNorm>(std::move(place), std::move(behind), statistics);
}

void unfold_batch_norms(Model& model) {
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    std::unique_ptr<Layer>& layer = model.mutable_nodes()[i].layer;
    if (auto* const inner = dynamic_cast<Model*>(layer.get())) unfold_batch_norms(*inner);
    auto* const folded = dynamic_cast<FoldedBatchNorm*>(layer.get());
    if (folded == nullptr) continue;
    auto [linear, norm] = folded->release();
    layer = std::move(linear);
    insert_behind(model, static_cast<NodeId>(i), std::move(norm), model.node_shapes()[i]);
  }
}

// Beside the class, so that whoever has such a layer has its registration linked too.
namespace {

std::unique_ptr<Layer> make_folded(const LayerSpec& spec) {
  if (spec.children.size() != 2 || spec.children[0].role != "linear" ||
      spec.children[1].role != "batch_norm" ||
      spec.children[1].layer.kind != "BatchNormalization") {
    fail(ErrorCode::bad_data, "{}: a FoldedBatchNorm holds a linear layer and a BatchNormalization",
         spec.name);
  }
  std::unique_ptr<Layer> norm = make_layer(spec.children[1].layer);
  auto folded = std::make_unique<FoldedBatchNorm>(
      make_layer(spec.children[0].layer),
      std::unique_ptr<BatchNorm>(&dynamic_cast<BatchNorm&>(*norm.release())),
      FoldStatistics::running);
  apply_config(spec, *folded);
  return folded;
}

[[maybe_unused]] const bool registered = [] {
  register_layer("FoldedBatchNorm", [](const LayerSpec& spec) {
    try {
      return make_folded(spec);
    } catch (const Error& error) {
      fail(ErrorCode::bad_data, "{}", error.what());
    }
  });
  return true;
}();

}  // namespace
}  // namespace perch
