// Layers that join several inputs.
#pragma once

#include <string>

#include <perch/layers/layer.h>

namespace perch {

/// What the elementwise kinds share: two or more inputs of one rank whose shapes broadcast.
class ElementwiseMerge : public Layer {
 public:
  Shape build(const std::vector<Shape>& inputs, const WeightInit& init) override;
  Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                 const Context& context) override;
  void visit(Visitor& visitor) override;

 protected:
  virtual Variable merge(const Variable& a, const Variable& b) const = 0;
};

/// Sum of the inputs.
class Add final : public ElementwiseMerge {
 public:
  struct Options {
    std::string name = {};
  };
  explicit Add(Options options);
  Add();
  std::string kind() const override { return "Add"; }

 protected:
  Variable merge(const Variable& a, const Variable& b) const override;
};

/// Product of the inputs.
class Multiply final : public ElementwiseMerge {
 public:
  struct Options {
    std::string name = {};
  };
  explicit Multiply(Options options);
  Multiply();
  std::string kind() const override { return "Multiply"; }

 protected:
  Variable merge(const Variable& a, const Variable& b) const override;
};

/// The inputs one after another along an axis, in their order.
class Concatenate final : public Layer {
 public:
  struct Options {
    std::int64_t axis = -1;  ///< the batch axis is 0 and cannot be meant
    std::string name = {};
  };
  explicit Concatenate(Options options);
  Concatenate();

  std::string kind() const override { return "Concatenate"; }
  Shape build(const std::vector<Shape>& inputs, const WeightInit& init) override;
  Variable apply(const std::vector<Variable>& inputs, const Weights& weights,
                 const Context& context) override;
  void visit(Visitor& visitor) override;

 private:
  std::int64_t axis_;
};

}  // namespace perch
