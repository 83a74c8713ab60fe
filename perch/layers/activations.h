// Activation functions as layers of their own: shapes do not change.
#pragma once

#include <string>

#include <perch/layers/layer.h>

namespace perch {

/// By name: linear, relu, relu6, leaky_relu, sigmoid, tanh, softmax.
class Activation final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  Activation(std::string activation, Options options);
  explicit Activation(std::string activation);

  std::string kind() const override { return "Activation"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  std::string activation_;
};

/// x, negative_slope x below 0, at most max_value.
class ReLU final : public UnaryLayer {
 public:
  struct Options {
    float max_value = 0.0f;  ///< 0: no limit (Keras: None)
    float negative_slope = 0.0f;
    std::string name = {};
  };
  explicit ReLU(Options options);
  ReLU();

  std::string kind() const override { return "ReLU"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  Options options_;
};

/// x, alpha x below 0.
class LeakyReLU final : public UnaryLayer {
 public:
  struct Options {
    float alpha = 0.3f;
    std::string name = {};
  };
  explicit LeakyReLU(Options options);
  LeakyReLU();

  std::string kind() const override { return "LeakyReLU"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  Options options_;
};

/// Along the last axis.
class Softmax final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  explicit Softmax(Options options);
  Softmax();

  std::string kind() const override { return "Softmax"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;
};

}  // namespace perch
