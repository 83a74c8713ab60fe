#include <algorithm>
#include <set>

#include <fnmatch.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/state.h>
#include <perch/quant/rules.h>

namespace perch {
namespace {

bool matches(const LayerFilter& filter, const Layer& layer, const Layer* first, const Layer* last) {
  const auto named = [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), layer.name().c_str(), 0) == 0;
  };
  const auto is = [&](const std::string& kind) { return kind == layer.kind(); };
  using Place = LayerFilter::Place;
  return (filter.names.empty() || std::ranges::any_of(filter.names, named)) &&
         (filter.kinds.empty() || std::ranges::any_of(filter.kinds, is)) &&
         (filter.place != Place::first || &layer == first) &&
         (filter.place != Place::last || &layer == last);
}

[[noreturn]] void fail_unmatched(const LayerRule& rule, const Model& model) {
  std::vector<std::string> names, kinds;
  for (const Model::Node& node : model.nodes()) {
    if (is_quantized(*node.layer)) continue;
    names.push_back(node.layer->name());
    if (std::ranges::find(kinds, node.layer->kind()) == kinds.end()) {
      kinds.push_back(node.layer->kind());
    }
  }
  const LayerFilter& filter = rule.filter;
  if (!filter.names.empty()) {
    fail(ErrorCode::usage, "{} matches no layer of {}; its layers are {}", rule.origin,
         model.name(), choices(filter.names.front(), names));
  }
  fail(ErrorCode::usage, "{} matches no layer of {}; its kinds are {}", rule.origin, model.name(),
       choices(filter.kinds.empty() ? "" : filter.kinds.front(), kinds));
}

std::map<std::string, QuantizeConfig> configs_of(const std::vector<Decision>& decisions) {
  std::map<std::string, QuantizeConfig> configs;
  for (const Decision& decision : decisions) {
    if (decision.config) configs.emplace(decision.layer, *decision.config);
  }
  return configs;
}

/// What output_quantizers does to layers that no rule decides.
void add_feeding(const Model& model, std::vector<Decision>& decisions) {
  const auto feeding = feeding_configs(model, configs_of(decisions));
  for (Decision& decision : decisions) {
    const auto found = feeding.find(decision.layer);
    if (found == feeding.end() || !decision.origin.empty()) continue;
    decision.origin = "output_quantizers";
    decision.config = found->second;
  }
}

void add_integer_biases(const Model& model, std::vector<Decision>& decisions) {
  for (const Model::Node& node : model.nodes()) {
    const auto own = std::ranges::find(decisions, node.layer->name(), &Decision::layer);
    if (own == decisions.end() || !own->config || own->config->weights.empty()) continue;
    if (own->config->fold || find_weight(*node.layer, "bias") != nullptr) {
      own->config->integer_bias = true;
    }
  }
}

/// Who folds whom.
void add_folds(const Model& model, const std::optional<FoldStatistics>& everywhere,
               std::vector<Decision>& decisions) {
  const auto decision_of = [&](const Layer& layer) {
    return std::ranges::find(decisions, layer.name(), &Decision::layer);
  };
  bool any = false;
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    const Layer& layer = *model.nodes()[i].layer;
    const auto own = decision_of(layer);
    if (own == decisions.end() || !own->config) continue;
    const auto norm = foldable_norm(model, static_cast<NodeId>(i));
    if (everywhere && norm && !own->config->weights.empty() && !own->config->fold) {
      own->config->fold = everywhere;
    }
    if (!own->config->fold) continue;
    PERCH_CHECK(norm,
                "{}: no batch normalisation can be folded into {}: one must alone read its output, "
                "without an activation function between; leave \"fold\" out",
                own->origin, layer.name());
    const auto folded = decision_of(*model.nodes()[static_cast<std::size_t>(*norm)].layer);
    PERCH_CHECK(folded->origin.empty() || !folded->config,
                "{}: {} is folded into {} and cannot be quantized by itself; quantize the outputs "
                "of that layer, or of the activation behind it",
                folded->origin, folded->layer, layer.name());
    folded->folded_into = layer.name();
    folded->origin = own->origin;
    any = true;
  }
  PERCH_CHECK(
      !everywhere || any,
      "fold: no layer of {} whose weights are quantized has a batch normalisation behind it "
      "that could be folded; leave it out",
      model.name());
}

}  // namespace

std::vector<Decision> decide(const Model& model, const QuantRules& rules) {
  PERCH_CHECK(model.built(), "quantize: the model is not built; call build() first");
  std::map<std::string, QuantizeConfig> scheme;
  if (rules.scheme) scheme = n_bit(model, *rules.scheme);
  std::vector<const Layer*> weighted;
  for (const Model::Node& node : model.nodes()) {
    if (!main_weight(node.layer->kind()).empty()) weighted.push_back(node.layer.get());
  }
  const Layer* const first = weighted.empty() ? nullptr : weighted.front();
  const Layer* const last = weighted.empty() ? nullptr : weighted.back();

  std::vector<Decision> decisions;
  std::set<const LayerRule*> used;
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    Layer& layer = *model.nodes()[i].layer;
    if (is_quantized(layer)) continue;
    Decision decision{.layer = layer.name(), .kind = layer.kind()};
    if (const auto found = scheme.find(layer.name()); found != scheme.end()) {
      decision.origin = "scheme";
      decision.config = found->second;
    }
    for (const LayerRule& rule : rules.rules) {
      if (!matches(rule.filter, layer, first, last)) continue;
      used.insert(&rule);
      decision.origin = rule.origin;
      decision.config = rule.config;
    }
    if (decision.config) {
      try {
        QuantizeWrapper::check(layer, *decision.config, model.node_shapes()[i]);
      } catch (const Error& error) {
        fail(error.code(), "{}: {}", decision.origin, error.what());
      }
    }
    decisions.push_back(std::move(decision));
  }
  for (const LayerRule& rule : rules.rules) {
    if (!used.contains(&rule)) fail_unmatched(rule, model);
  }
  add_folds(model, rules.fold, decisions);
  if (!rules.scheme && rules.output_quantizers) add_feeding(model, decisions);
  if (rules.integer_biases) add_integer_biases(model, decisions);
  return decisions;
}

void apply_rules(Model& model, const QuantRules& rules) {
  apply_in_place(model, configs_of(decide(model, rules)),
                 {.input_quantizer = rules.input, .output_quantizers = false});
}

}  // namespace perch
