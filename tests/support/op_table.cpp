#include "tests/support/op_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include <perch/core/random.h>

namespace perch::test {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

Tensor random_tensor(const Shape& shape, std::string_view stream, std::uint32_t step,
                     Interval interval = {-1.0f, 1.0f}) {
  const Random random(2024, stream, step);
  Tensor t(shape);
  for (std::int64_t i = 0; i < t.size(); ++i) {
    t.data()[i] = random.uniform(static_cast<std::uint64_t>(i), interval.low, interval.high);
  }
  return t;
}

double dot(const Array& a, const Array& b) {
  double total = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

bool is_constant(const OpRow& row, std::size_t input) {
  return std::find(row.constants.begin(), row.constants.end(), input) != row.constants.end();
}

Array differences(const OpRow& row, std::vector<Array>& inputs, std::size_t which,
                  const Array& upstream) {
  constexpr double step = 1e-5;
  constexpr std::int64_t largest_complete = 300, samples = 60;
  Array result(inputs[which].shape);
  std::fill(result.values.begin(), result.values.end(), unknown);
  const std::int64_t count = result.size();
  // An odd stride walks through all rests, so tails of vectors are among the samples.
  const std::int64_t stride = count <= largest_complete ? 1 : (count / samples) | 1;
  const double centre = dot(row.reference(inputs), upstream);
  std::int64_t kinks = 0, tried = 0;
  for (std::int64_t i = count - 1; i >= 0; i -= stride) {
    double& value = inputs[which][i];
    const double saved = value;
    value = saved + step;
    const double right = (dot(row.reference(inputs), upstream) - centre) / step;
    value = saved - step;
    const double left = (centre - dot(row.reference(inputs), upstream)) / step;
    value = saved;
    ++tried;
    if (std::abs(right - left) > 1e-3 * std::max(1.0, std::abs(right) + std::abs(left))) {
      ++kinks;
    } else {
      result[i] = (left + right) / 2;
    }
  }
  if (2 * kinks > tried) throw std::logic_error(row.name + ": most elements lie at kinks");
  return result;
}

}  // namespace

Tensor upstream_of(const OpRow& row, const Shape& output) {
  return random_tensor(output, row.name + "/upstream", 0);
}

Outcome evaluate(const OpRow& row) {
  Outcome outcome;
  std::vector<Variable> variables;
  for (std::size_t i = 0; i < row.shapes.size(); ++i) {
    const Interval interval = i < row.intervals.size() ? row.intervals[i] : Interval{-1.0f, 1.0f};
    variables.emplace_back(
        random_tensor(row.shapes[i], row.name, static_cast<std::uint32_t>(i), interval),
        !is_constant(row, i));
    outcome.inputs.push_back(variables.back().value());
  }
  const Variable output = row.op(variables);
  outcome.output = output.value();
  if (output.requires_grad()) output.backward(upstream_of(row, output.shape()));
  for (const Variable& variable : variables) outcome.gradients.push_back(variable.grad());
  return outcome;
}

std::string difference(const Tensor& got, const Array& want, double tolerance) {
  if (!(got.shape() == want.shape)) {
    return fmt::format("shape {} instead of {}", got.shape().to_string(), want.shape.to_string());
  }
  double largest = 0;
  for (const double value : want.values) {
    if (!std::isnan(value)) largest = std::max(largest, std::abs(value));
  }
  for (std::int64_t i = 0; i < want.size(); ++i) {
    const double value = got.data()[i];
    if (!std::isnan(want[i]) && !(std::abs(value - want[i]) <= tolerance * largest)) {
      return fmt::format("element {} is {:.9g} instead of {:.9g} (largest {:.4g})", i, value,
                         want[i], largest);
    }
  }
  return {};
}

std::vector<Array> reference_gradients(const OpRow& row, const std::vector<Tensor>& inputs,
                                       const Tensor& upstream) {
  std::vector<Array> arrays;
  for (const Tensor& input : inputs) arrays.emplace_back(input);
  if (row.gradients) return row.gradients(arrays, Array(upstream));
  std::vector<Array> result(arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!is_constant(row, i)) result[i] = differences(row, arrays, i, Array(upstream));
  }
  return result;
}

}  // namespace perch::test
