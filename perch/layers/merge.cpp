#include <perch/core/check.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/reduce.h>
#include <perch/layers/merge.h>

namespace perch {

Shape ElementwiseMerge::build(const std::vector<Shape>& inputs, const WeightInit&) {
  PERCH_CHECK(inputs.size() >= 2, "takes two or more inputs, got {}", inputs.size());
  Shape result = inputs[0];
  for (const Shape& input : inputs) {
    PERCH_CHECK(input.rank() == result.rank(), "inputs of shapes {} and {} differ in rank",
                result.to_string(), input.to_string());
    result = broadcast_shape(result, input);
  }
  return result;
}

Variable ElementwiseMerge::apply(const std::vector<Variable>& inputs, const Weights&,
                                 const Context&) {
  Variable result = inputs.at(0);
  for (std::size_t i = 1; i < inputs.size(); ++i) result = merge(result, inputs[i]);
  return result;
}

void ElementwiseMerge::visit(Visitor&) {}

Add::Add(Options options) {
  set_name(std::move(options.name));
}
Add::Add() : Add(Options{}) {}
Variable Add::merge(const Variable& a, const Variable& b) const {
  return add(a, b);
}

Multiply::Multiply(Options options) {
  set_name(std::move(options.name));
}
Multiply::Multiply() : Multiply(Options{}) {}
Variable Multiply::merge(const Variable& a, const Variable& b) const {
  return multiply(a, b);
}

Concatenate::Concatenate(Options options) : axis_(options.axis) {
  set_name(std::move(options.name));
}
Concatenate::Concatenate() : Concatenate(Options{}) {}

Shape Concatenate::build(const std::vector<Shape>& inputs, const WeightInit&) {
  PERCH_CHECK(inputs.size() >= 2, "takes two or more inputs, got {}", inputs.size());
  const int rank = inputs[0].rank();
  const std::int64_t axis = axis_ < 0 ? axis_ + rank : axis_ - 1;
  PERCH_CHECK(axis >= 0 && axis < rank, "axis {} is not one of inputs {} behind the batch axis",
              axis_, inputs[0].to_string());
  std::vector<std::int64_t> extents(inputs[0].begin(), inputs[0].end());
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    PERCH_CHECK(inputs[i].rank() == rank, "inputs of shapes {} and {} differ in rank",
                inputs[0].to_string(), inputs[i].to_string());
    for (int j = 0; j < rank; ++j) {
      PERCH_CHECK(j == axis || inputs[i][j] == inputs[0][j],
                  "inputs of shapes {} and {} differ outside of axis {}", inputs[0].to_string(),
                  inputs[i].to_string(), axis_);
    }
    extents[static_cast<std::size_t>(axis)] += inputs[i][static_cast<int>(axis)];
  }
  return Shape(extents);
}

Variable Concatenate::apply(const std::vector<Variable>& inputs, const Weights&, const Context&) {
  return concat(inputs, static_cast<int>(axis_));
}

void Concatenate::visit(Visitor& visitor) {
  visitor.config("axis", axis_);
}

}  // namespace perch
