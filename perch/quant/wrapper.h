// The layers that quantization adds to a model.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <perch/layers/layer.h>
#include <perch/layers/model.h>
#include <perch/quant/config.h>
#include <perch/quant/folding.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// Owns a layer and the quantizers of its weights, activation and output, and hands the layer
/// quantized weights as arguments. Of a FoldedBatchNorm, it quantizes the kernel that the batch
/// normalisation is folded into. Named "quant_" + the layer's name. State in tfmot's order: the
/// layer's own, optimizer_step, then <weight>_min, <weight>_max, post_activation_min, ...
class QuantizeWrapper final : public Layer {
 public:
  /// Throws Error(usage) naming layer and key for a weight that the layer does not have or a
  /// specification that is not valid.
  QuantizeWrapper(std::unique_ptr<Layer> layer, QuantizeConfig config);

  /// Throws what the constructor and build_quantizers() would throw for a built layer.
  static void check(Layer& layer, const QuantizeConfig& config, const Shape& output);

  std::string kind() const override { return "QuantizeWrapper"; }
  Shape build(const std::vector<Shape>& inputs, const WeightInit& init) override;
  /// Creates the quantizers' ranges for a layer that is built already and has this output shape
  /// (without batch axis). Throws Error(usage) for axes that a tensor does not have.
  void build_quantizers(const Shape& output);
  /// `weights` replace the inner layer's own ones of the same name.
  Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                 const Context& context) override;
  void visit(Visitor& visitor) override;
  void connect(const Model& model, int node) override;

  // The steps of apply(), for those who run the layer's op themselves.
  /// The inner layer's context out of the wrapper's own.
  Context inner_context(const Context& context) const;
  /// The inner layer's weights, `given` ones in their place; those of a FoldedBatchNorm folded
  /// already, for which training needs the inputs.
  Weights plain_weights(const std::vector<Variable>& inputs, const Weights& given,
                        const Context& inner);
  /// The same, quantized; the bias too where it is an integer one.
  Weights quantized_weights(Weights plain, const Context& inner);

  Layer& layer() { return *layer_; }
  const Layer& layer() const { return *layer_; }
  /// With weights by their stored names.
  const QuantizeConfig& config() const { return config_; }
  /// The scales of an integer bias; empty where there is none, or not yet.
  std::vector<double> integer_bias_scales() const;
  /// Quantizer::set_bits() of the quantizer of this prefix, and config() to match.
  void set_bits(const std::string& prefix, int bits);
  /// By state prefix: "kernel", "depthwise_kernel", "post_activation", "output".
  const std::map<std::string, std::unique_ptr<Quantizer>>& quantizers() const {
    return quantizers_;
  }
  /// The prefixes in the order of the state: weights, activation, output.
  const std::vector<std::string>& quantizer_order() const { return order_; }

 private:
  Variable quantize(const std::string& prefix, const Variable& x, const Context& context);

  std::unique_ptr<Layer> layer_;
  QuantizeConfig config_;
  std::map<std::string, std::unique_ptr<Quantizer>> quantizers_;
  std::vector<std::string> order_;
  std::int64_t channels_ = 0;         // of the output
  const Quantizer* input_ = nullptr;  // feeds the layer; another layer of the model owns it
  std::int32_t optimizer_step_ = -1;  // tfmot stores it and never updates it
};

/// Quantizes a model's input. Named "quantize_layer"; state quantize_layer_min, quantize_layer_max,
/// optimizer_step.
class QuantizeLayer final : public UnaryLayer {
 public:
  explicit QuantizeLayer(QuantSpec spec);

  std::string kind() const override { return "QuantizeLayer"; }
  void visit(Visitor& visitor) override;
  Quantizer& quantizer() { return *quantizer_; }
  const Quantizer& quantizer() const { return *quantizer_; }

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  std::unique_ptr<Quantizer> quantizer_;
  std::int32_t optimizer_step_ = -1;
};

/// Whether a layer is a QuantizeWrapper or a QuantizeLayer.
bool is_quantized(const Layer& layer);

/// A quantizer and where it stands.
struct PlacedQuantizer {
  Layer& layer;        ///< the QuantizeWrapper or QuantizeLayer
  std::string prefix;  ///< of its state: "kernel", "post_activation", "quantize_layer"
  Quantizer& quantizer;
  bool of_weight = false;
};
/// In the model's order, those of nested models too.
void for_each_quantizer(Model& model, const std::function<void(const PlacedQuantizer&)>& use);

/// A model's quantizers, those of nested models too; the input's is one of activations.
struct ModelQuantizers {
  std::vector<Quantizer*> weights, activations;
  bool any() const { return !weights.empty() || !activations.empty(); }
};
ModelQuantizers quantizers_of(Model& model);

}  // namespace perch
