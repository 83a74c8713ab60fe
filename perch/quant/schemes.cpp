#include <optional>
#include <set>
#include <vector>

#include <perch/core/check.h>
#include <perch/layers/graph.h>
#include <perch/quant/schemes.h>

namespace perch {
namespace {

class Placement {
 public:
  Placement(const Model& model, const NBitOptions& options) : model_(model), options_(options) {}

  std::map<std::string, QuantizeConfig> configs() {
    static const std::set<std::string> merging{"Add", "Concatenate"};
    static const std::set<std::string> averaging{"AveragePooling2D", "GlobalAveragePooling2D"};
    const auto count = static_cast<NodeId>(model_.nodes().size());
    for (NodeId node = 0; node < count; ++node) {
      const std::string kind = layer(node).kind();
      if (!main_weight(kind).empty()) {
        place_linear(node);
      } else if (merging.contains(kind)) {
        place_output(behind_activation(node));
      } else if (averaging.contains(kind)) {
        place_output(node);
      }
    }
    return std::move(configs_);
  }

 private:
  Layer& layer(NodeId node) const { return *model_.nodes()[static_cast<std::size_t>(node)].layer; }

  QuantSpec activations() const {
    return {.bits = options_.activation_bits, .range = MovingAverage{}};
  }

  NodeId behind_activation(NodeId node) const {
    static const std::set<std::string> functions{"ReLU", "LeakyReLU", "Activation"};
    const auto next = sole_reader(model_, node);
    return next && functions.contains(layer(*next).kind()) ? *next : node;
  }

  void place_linear(NodeId node) {
    QuantizeConfig& config = configs_[layer(node).name()];
    config.weights["kernel"] = {.bits = options_.weight_bits,
                                .granularity = per_channel,
                                .symmetric = true,
                                .narrow_range = true,
                                .range = LastValue{}};
    NodeId end = node;
    if (activation_of(layer(node)) == "linear") {
      const auto next = sole_reader(model_, node);
      if (next && layer(*next).kind() == "BatchNormalization") end = *next;
      end = behind_activation(end);
    }
    if (end == node) {
      config.activation = activations();
    } else {
      place_output(end);
    }
  }

  void place_output(NodeId node) {
    // A softmax's output is not computed with any more.
    Layer& at = layer(node);
    if (at.kind() == "Activation" && activation_of(at) == "softmax") return;
    configs_[at.name()].output = activations();
  }

  const Model& model_;
  const NBitOptions options_;
  std::map<std::string, QuantizeConfig> configs_;
};

}  // namespace

std::map<std::string, QuantizeConfig> n_bit(const Model& model, const NBitOptions& options) {
  PERCH_CHECK(model.built(), "quantize: the model is not built; call build() first");
  return Placement(model, options).configs();
}

std::map<std::string, QuantizeConfig> default_8bit(const Model& model) {
  return n_bit(model, {});
}

const std::vector<std::string>& scheme_names() {
  static const std::vector<std::string> names{"default_8bit", "n_bit"};
  return names;
}

}  // namespace perch
