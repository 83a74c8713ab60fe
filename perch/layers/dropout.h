// Dropout: random zeros in training.
#pragma once

#include <string>

#include <perch/layers/layer.h>

namespace perch {

/// In training a share `rate` of the elements, in [0, 1), becomes zero and the others grow by
/// 1 / (1 - rate); draws are a function of the context's seed and step and of the layer's name.
class Dropout final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  Dropout(float rate, Options options);
  explicit Dropout(float rate);

  std::string kind() const override { return "Dropout"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  float rate_;
};

}  // namespace perch
