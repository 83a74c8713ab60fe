#include <optional>
#include <set>
#include <vector>

#include <perch/core/check.h>
#include <perch/quant/schemes.h>

namespace perch {
namespace {

class Placement {
 public:
  Placement(const Model& model, const NBitOptions& options)
      : model_(model), options_(options), readers_(model.nodes().size()) {
    for (std::size_t i = 0; i < model.nodes().size(); ++i) {
      for (const NodeId id : model.nodes()[i].inputs) {
        if (id != Model::input) readers_[static_cast<std::size_t>(id)].push_back(i);
      }
    }
  }

  std::map<std::string, QuantizeConfig> configs() {
    static const std::set<std::string> merging{"Add", "Concatenate"};
    static const std::set<std::string> averaging{"AveragePooling2D", "GlobalAveragePooling2D"};
    for (std::size_t node = 0; node < model_.nodes().size(); ++node) {
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
  Layer& layer(std::size_t node) const { return *model_.nodes()[node].layer; }

  QuantSpec activations() const {
    return {.bits = options_.activation_bits, .range = MovingAverage{}};
  }

  /// The only reader of a node that is not the model's output.
  std::optional<std::size_t> reader(std::size_t node) const {
    if (static_cast<NodeId>(node) == model_.output() || readers_[node].size() != 1) {
      return std::nullopt;
    }
    return readers_[node].front();
  }

  std::size_t behind_activation(std::size_t node) const {
    static const std::set<std::string> functions{"ReLU", "LeakyReLU", "Activation"};
    const auto next = reader(node);
    return next && functions.contains(layer(*next).kind()) ? *next : node;
  }

  void place_linear(std::size_t node) {
    QuantizeConfig& config = configs_[layer(node).name()];
    config.weights["kernel"] = {.bits = options_.weight_bits,
                                .granularity = per_channel,
                                .symmetric = true,
                                .narrow_range = true,
                                .range = LastValue{}};
    std::size_t end = node;
    if (activation_of(layer(node)) == "linear") {
      const auto next = reader(node);
      if (next && layer(*next).kind() == "BatchNormalization") end = *next;
      end = behind_activation(end);
    }
    if (end == node) {
      config.activation = activations();
    } else {
      place_output(end);
    }
  }

  void place_output(std::size_t node) {
    // A softmax's output is not computed with any more.
    Layer& at = layer(node);
    if (at.kind() == "Activation" && activation_of(at) == "softmax") return;
    configs_[at.name()].output = activations();
  }

  const Model& model_;
  const NBitOptions options_;
  std::vector<std::vector<std::size_t>> readers_;
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
