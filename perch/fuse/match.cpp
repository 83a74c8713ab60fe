#include <limits>
#include <string>
#include <variant>

#include <perch/fuse/match.h>
#include <perch/layers/graph.h>
#include <perch/layers/spec.h>

namespace perch::fusion {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Limits {
  float low, high;
};

/// Of activation functions that are limits; nothing for others.
std::optional<Limits> limits_of(const std::string& activation) {
  if (activation == "linear") return Limits{-infinity, infinity};
  if (activation == "relu") return Limits{0.0f, infinity};
  if (activation == "relu6") return Limits{0.0f, 6.0f};
  return std::nullopt;
}

/// Of a layer that is an activation function.
std::optional<Limits> limits_of(Layer& layer) {
  if (layer.kind() == "Activation") return limits_of(activation_of(layer));
  if (layer.kind() != "ReLU") return std::nullopt;
  LayerSpec spec;
  read_config(layer, spec);
  const float limit = std::get<float>(*spec.find("max_value"));
  const float slope = std::get<float>(*spec.find("negative_slope"));
  if (slope != 0.0f || (limit != 0.0f && limit != 6.0f)) return std::nullopt;
  return Limits{0.0f, limit == 0.0f ? infinity : limit};
}

/// The quantizer when blocks can run it: one range that follows the extremes, 8-bit codes,
/// TensorFlow's rounding.
RangeQuantizer* with_codes(Quantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  const bool fits = spec.bits <= 8 && spec.granularity.kind == Granularity::Kind::tensor &&
                    follows_extremes(spec.range) && spec.rounding == Rounding::half_up &&
                    !spec.power_of_two_scale && !spec.observe_only;
  return fits ? dynamic_cast<RangeQuantizer*>(&quantizer) : nullptr;
}

/// What a member does to its output: nothing, one quantizer, or something that no block does.
struct OutputQuantizer {
  RangeQuantizer* quantizer = nullptr;
  bool fits = true;
};

OutputQuantizer output_quantizer(const Member& member) {
  OutputQuantizer result;
  if (member.wrapper == nullptr) return result;
  for (const char* const prefix : {"pre_activation", "post_activation", "output"}) {
    const auto found = member.wrapper->quantizers().find(prefix);
    if (found == member.wrapper->quantizers().end()) continue;
    const bool before = std::string(prefix) == "pre_activation";
    RangeQuantizer* const quantizer = with_codes(*found->second);
    if (before || result.quantizer != nullptr || quantizer == nullptr) return {nullptr, false};
    result.quantizer = quantizer;
  }
  return result;
}

bool is_linear(const Layer& layer) {
  const std::string kind = layer.kind();
  return kind == "Conv2D" || kind == "DepthwiseConv2D" || kind == "Dense";
}

}  // namespace

Matcher::Matcher(Model& model) : model_(model) {}

std::optional<std::size_t> Matcher::reader(std::size_t node) const {
  const auto found = sole_reader(model_, static_cast<NodeId>(node));
  return found ? std::optional(static_cast<std::size_t>(*found)) : std::nullopt;
}

Member Matcher::member(std::size_t node) const {
  Member result;
  result.node = model_.nodes()[node].layer.get();
  result.wrapper = dynamic_cast<QuantizeWrapper*>(result.node);
  result.layer = result.wrapper == nullptr ? result.node : &result.wrapper->layer();
  return result;
}

bool Matcher::take_linear(std::size_t node, LinearBlock& block) const {
  const Member linear = member(node);
  if (auto* const input = dynamic_cast<QuantizeLayer*>(linear.layer)) {
    block.inner = with_codes(input->quantizer());
    if (block.inner == nullptr) return false;
    block.inner_owner = linear;
    return true;
  }
  if (!is_linear(*linear.layer)) return false;
  const auto limits = limits_of(activation_of(*linear.layer));
  const OutputQuantizer output = output_quantizer(linear);
  if (!limits || !output.fits) return false;
  block.linear = linear;
  block.low = limits->low;
  block.high = limits->high;
  // A quantizer stands behind the activation function, if there is one.
  const bool limited = limits->low > -infinity;
  (limited ? block.outer : block.inner) = output.quantizer;
  (limited ? block.outer_owner : block.inner_owner) = linear;
  return true;
}

bool Matcher::take_norm(std::size_t node, LinearBlock& block) const {
  const Member norm = member(node);
  const OutputQuantizer output = output_quantizer(norm);
  if (norm.layer->kind() != "BatchNormalization" || !output.fits) return false;
  block.norm = norm;
  block.outer = output.quantizer;
  block.outer_owner = norm;
  return true;
}

template <class Block>
bool Matcher::take_activation(std::size_t node, Block& block) const {
  const Member activation = member(node);
  const auto limits = limits_of(*activation.layer);
  const OutputQuantizer output = output_quantizer(activation);
  if (!limits || !output.fits) return false;
  block.activation = activation;
  block.low = limits->low;
  block.high = limits->high;
  block.outer = output.quantizer;
  block.outer_owner = activation;
  return true;
}

std::optional<Match<LinearBlock>> Matcher::linear_block(std::size_t first) const {
  Match<LinearBlock> match;
  LinearBlock& block = match.block;
  std::optional<std::size_t> next = first;
  const auto take = [&](bool taken) {
    if (!taken) return;
    match.nodes.push_back(*next);
    next = reader(*next);
  };
  take(take_linear(first, block));
  if (match.nodes.empty() && is_linear(*member(first).layer)) return std::nullopt;
  const bool own_activation = block.low > -infinity;
  if (next && !own_activation) take(take_norm(*next, block));
  if (next && !own_activation && block.outer == nullptr) take(take_activation(*next, block));
  // A lone layer, or an activation function behind some other layer, gains nothing.
  const bool stages = block.inner != nullptr || block.norm || block.outer != nullptr;
  if (!stages && !(block.linear && block.low > -infinity)) return std::nullopt;
  return match;
}

std::optional<Match<JoinBlock>> Matcher::join_block(std::size_t first) const {
  Match<JoinBlock> match{{.add = member(first)}, {first}};
  JoinBlock& block = match.block;
  const OutputQuantizer output = output_quantizer(block.add);
  if (block.add.layer->kind() != "Add" || model_.nodes()[first].inputs.size() != 2 ||
      !output.fits) {
    return std::nullopt;
  }
  block.outer = output.quantizer;
  block.outer_owner = block.add;
  const auto next = reader(first);
  if (next && block.outer == nullptr && take_activation(*next, block)) match.nodes.push_back(*next);
  return match;
}

}  // namespace perch::fusion
