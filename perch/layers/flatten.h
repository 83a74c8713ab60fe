// Layers that only change the shape.
#pragma once

#include <string>
#include <vector>

#include <perch/layers/layer.h>

namespace perch {

/// [...] -> [product], row-major.
class Flatten final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  explicit Flatten(Options options);
  Flatten();

  std::string kind() const override { return "Flatten"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;
};

/// To target_shape (without batch axis), where one extent may be -1 and is derived.
class Reshape final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  Reshape(std::vector<std::int64_t> target_shape, Options options);
  explicit Reshape(std::vector<std::int64_t> target_shape);

  std::string kind() const override { return "Reshape"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  std::vector<std::int64_t> target_shape_;
  Shape output_;
};

}  // namespace perch
