// Dense: a matrix product along the last axis.
#pragma once

#include <string>

#include <perch/layers/layer.h>

namespace perch {

/// [..., K] -> [..., units]. Weights: kernel [K, units] (Glorot uniform), bias [units] (zeros).
class Dense final : public UnaryLayer {
 public:
  struct Options {
    std::string activation = "linear";
    bool use_bias = true;
    std::string name = {};
  };
  Dense(std::int64_t units, Options options);
  explicit Dense(std::int64_t units);

  std::string kind() const override { return "Dense"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  std::int64_t units_;
  Options options_;
  Variable kernel_, bias_;
};

}  // namespace perch
