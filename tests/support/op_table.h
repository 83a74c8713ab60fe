// The table that ops are tested from: what a row says, and what is computed from it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <perch/core/variable.h>

namespace perch::test {

/// An array in double precision, for naive references.
struct Array {
  Shape shape;
  std::vector<double> values;

  Array() = default;
  explicit Array(const Shape& s) : shape(s), values(static_cast<std::size_t>(s.size())) {}
  explicit Array(const Tensor& t)
      : shape(t.shape()), values(t.values().begin(), t.values().end()) {}
  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
  double& operator[](std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
  double operator[](std::int64_t i) const { return values[static_cast<std::size_t>(i)]; }
};

struct Interval {
  float low, high;
};

struct OpRow {
  std::string name;
  std::vector<Shape> shapes;  ///< of the inputs
  std::function<Variable(const std::vector<Variable>&)> op;
  std::function<Array(const std::vector<Array>&)> reference;

  /// Inputs are uniform in their interval; [-1, 1) for those that have none here.
  std::vector<Interval> intervals = {};
  /// Of the largest element of each result and gradient.
  double tolerance = 1e-5;
  /// Inputs that require no gradient.
  std::vector<std::size_t> constants = {};
  /// The gradients in closed form, from inputs and the output's gradient, where differences of the
  /// reference are not what is wanted (straight-through). Otherwise they are those differences.
  std::function<std::vector<Array>(const std::vector<Array>&, const Array&)> gradients = {};
  /// The result is the same bits on every instruction set.
  bool exact = false;
};

/// The rows for every op of perch.
const std::vector<OpRow>& op_table();

/// What one evaluation gave; empty gradients for constants.
struct Outcome {
  std::vector<Tensor> inputs;
  Tensor output;
  std::vector<Tensor> gradients;
};

/// Forward, and backward from a random output gradient.
Outcome evaluate(const OpRow& row);
/// The output gradient that evaluate() uses.
Tensor upstream_of(const OpRow& row, const Shape& output);

/// An empty string, or what does not fit: the first element of `got` that is further from `want`
/// than tolerance times want's largest magnitude. NaN in `want` says: not known.
std::string difference(const Tensor& got, const Array& want, double tolerance);

/// Gradients of sum(output * upstream) by central differences of the reference, for each input.
/// Large inputs are sampled, and elements at a kink (where the differences to the left and to the
/// right disagree) are left out; both are NaN then. Throws when most elements lie at kinks.
std::vector<Array> reference_gradients(const OpRow& row, const std::vector<Tensor>& inputs,
                                       const Tensor& upstream);

}  // namespace perch::test
