// Rules: which layers are quantized how, by name, kind and place.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <perch/layers/model.h>
#include <perch/quant/apply.h>
#include <perch/quant/schemes.h>

namespace perch {

/// What must hold for a layer, all of it; what is empty holds for every layer.
struct LayerFilter {
  enum class Place { any, first, last };
  std::vector<std::string> names = {};  ///< shell patterns: "conv2d*", "block[12]_?"
  std::vector<std::string> kinds = {};  ///< "Conv2D"
  Place place = Place::any;             ///< among the layers that have a main weight
};

struct LayerRule {
  LayerFilter filter = {};
  std::optional<QuantizeConfig> config = {};  ///< none: the layer stays float
  std::string origin = {};                    ///< for messages: "rule 2, line 14 of a.toml"
};

struct QuantRules {
  std::optional<NBitOptions> scheme = std::nullopt;  ///< n_bit() for what no rule decides
  std::vector<LayerRule> rules = {};                 ///< the last one that matches decides
  std::optional<QuantSpec> input = QuantSpec{};      ///< of the model's input
  /// Folds wherever a BatchNormalization follows a layer whose main weight is quantized, if its own
  /// configuration does not say how.
  std::optional<FoldStatistics> fold = std::nullopt;
  /// QuantizeConfig::integer_bias of every layer with a bias whose main weight is quantized.
  bool integer_biases = false;
  /// ApplyOptions::output_quantizers, for layers that no rule decides; without effect on top of a
  /// scheme, which places its own.
  bool output_quantizers = true;
};

struct Decision {
  std::string layer, kind;
  std::string origin;  ///< the rule's, "scheme", "output_quantizers", or "" where nothing decides
  std::optional<QuantizeConfig> config;
  std::string folded_into = {};  ///< the layer that a BatchNormalization becomes part of
};
/// For every layer in the model's order. Layers that are quantized already are passed over. Throws
/// Error(usage) unless built, for a rule that matches nothing and for a configuration that does not
/// fit its layer, naming rule and layer; for folding where there is nothing to fold.
std::vector<Decision> decide(const Model& model, const QuantRules& rules);

/// decide(), then apply_in_place(). Throws Error(usage) too when nothing is to be quantized.
void apply_rules(Model& model, const QuantRules& rules);

}  // namespace perch
