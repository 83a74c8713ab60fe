#include <cmath>
#include <numeric>

#include <perch/core/ops/activation.h>
#include <perch/core/ops/dense.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/ops/loss.h>

#include "tests/support/op_table.h"
#include "tests/support/reference_conv.h"
#include "tests/support/reference_ops.h"

namespace perch::test {
namespace {

using In = std::vector<Variable>;
using Ref = std::vector<Array>;

// Odd channels and a few chunks of elements: vector bodies, tails, and more than one thread.
const Shape large{3, 23, 13, 19};

OpRow activation_row(const std::string& name, Variable (*op)(const Variable&),
                     double (*reference)(double)) {
  return {.name = name,
          .shapes = {large},
          .op = [op](const In& in) { return op(in[0]); },
          .reference = [reference](const Ref& in) { return reference::map(in[0], reference); },
          .intervals = {{-8.0f, 8.0f}}};
}

OpRow conv_row(const std::string& name, const Shape& x, const Shape& kernel,
               const Conv2DOptions& options, bool depthwise = false, bool bias = true) {
  const std::int64_t filters = depthwise ? kernel[2] * kernel[3] : kernel[3];
  const ReferenceConv naive{WindowGeometry::of("reference", x, {kernel[0], kernel[1]},
                                               options.stride, options.padding, options.dilation),
                            filters, options.groups, depthwise};
  std::vector<Shape> shapes{x, kernel};
  if (bias) shapes.push_back({filters});
  return {.name = name,
          .shapes = shapes,
          .op =
              [=](const In& in) {
                const Variable b = bias ? in[2] : Variable();
                return depthwise ? depthwise_conv2d(in[0], in[1], b, options)
                                 : conv2d(in[0], in[1], b, options);
              },
          .reference =
              [=](const Ref& in) {
                const WindowGeometry& g = naive.geometry;
                Array y(Shape{g.batch, g.out_height, g.out_width, filters});
                y.values = naive.forward(in[0].values, in[1].values,
                                         bias ? in[2].values : std::vector<double>());
                return y;
              }};
}

OpRow dense_row(const std::string& name, const ReferenceDense& naive) {
  return {.name = name,
          .shapes = {{naive.images, naive.inputs}, {naive.inputs, naive.outputs}, {naive.outputs}},
          .op = [](const In& in) { return dense(in[0], in[1], in[2]); },
          .reference =
              [=](const Ref& in) {
                Array y(Shape{naive.images, naive.outputs});
                y.values = naive.forward(in[0].values, in[1].values, in[2].values);
                return y;
              }};
}

OpRow batch_norm_row(const std::string& name, const Shape& x, bool training) {
  const Shape c{x[-1]};
  return {.name = name,
          .shapes = {x, c, c, c, c},
          .op =
              [training](const In& in) {
                Tensor mean = in[3].value().clone(), variance = in[4].value().clone();
                return batch_norm(in[0], in[1], in[2], mean, variance, {.training = training});
              },
          .reference =
              [training](const Ref& in) {
                return reference::batch_norm(in[0], in[1], in[2], training ? Array() : in[3],
                                             training ? Array() : in[4], 1e-3);
              },
          .intervals = {{-1, 3}, {0.5, 2}, {-1, 1}, {-1, 1}, {0.5, 2}},
          .constants = {3, 4}};
}

OpRow pool_row(const std::string& name, const Shape& x, const Pool2DOptions& options,
               bool largest) {
  return {.name = name,
          .shapes = {x},
          .op =
              [=](const In& in) {
                return largest ? max_pool2d(in[0], options) : average_pool2d(in[0], options);
              },
          .reference = [=](const Ref& in) { return reference::pool(in[0], options, largest); }};
}

OpRow binary_row(const std::string& name, const Shape& a, const Shape& b, bool sum) {
  return {.name = name,
          .shapes = {a, b},
          .op = [=](const In& in) { return sum ? add(in[0], in[1]) : multiply(in[0], in[1]); },
          .reference =
              [=](const Ref& in) {
                if (sum) return reference::zip(in[0], in[1], std::plus<>());
                return reference::zip(in[0], in[1], std::multiplies<>());
              }};
}

OpRow fake_quant_row(const std::string& name, const Shape& x, const FakeQuantOptions& options) {
  std::int64_t ranges = 1;
  for (const int axis : options.axes) ranges *= x[axis];
  const Shape range = options.axes.empty() ? Shape{} : Shape{ranges};
  return {.name = name,
          .shapes = {x, range, range},
          .op = [=](const In& in) { return fake_quant(in[0], in[1], in[2], options); },
          .reference = [=](const Ref& in) { return reference::fake_quant(in, options); },
          .intervals = {{-1.5f, 1.5f}, {-1.2f, -0.6f}, {0.6f, 1.2f}},
          .gradients =
              [=](const Ref& in, const Array& dy) {
                return reference::fake_quant_gradients(in, dy, options);
              },
          .exact = true};
}

OpRow reshape_row(const std::string& name, Variable (*op)(const Variable&), const Shape& result) {
  return {.name = name,
          .shapes = {{3, 5, 7, 2}},
          .op = [op](const In& in) { return op(in[0]); },
          .reference =
              [result](const Ref& in) {
                Array y(result);
                y.values = in[0].values;
                return y;
              },
          .exact = true};
}

OpRow concat_row(const std::string& name, const std::vector<Shape>& shapes, int axis) {
  const int from_front = shapes[0].normalise(axis);
  return {.name = name,
          .shapes = shapes,
          .op = [axis](const In& in) { return concat(in, axis); },
          .reference = [=](const Ref& in) { return reference::concat(in, from_front); },
          .exact = true};
}

const std::vector<std::int32_t> labels{3, 0, 6, 6, 1};

Array one_hot(std::int64_t classes) {
  Array targets(Shape{static_cast<std::int64_t>(labels.size()), classes});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    targets[static_cast<std::int64_t>(i) * classes + labels[i]] = 1;
  }
  return targets;
}

OpRow sparse_loss_row(const std::string& name, float smoothing) {
  return {
      .name = name,
      .shapes = {{5, 7}},
      .op = [=](const In& in) { return sparse_softmax_cross_entropy(in[0], labels, smoothing); },
      .reference =
          [=](const Ref& in) { return reference::cross_entropy(in[0], one_hot(7), smoothing); },
      .intervals = {{-5, 5}}};
}

// Targets need not add up to one.
OpRow dense_loss_row(const std::string& name, float smoothing) {
  return {
      .name = name,
      .shapes = {{300, 11}, {300, 11}},
      .op = [=](const In& in) { return softmax_cross_entropy(in[0], in[1].value(), smoothing); },
      .reference = [=](const Ref& in) { return reference::cross_entropy(in[0], in[1], smoothing); },
      .intervals = {{-5, 5}, {0, 1}},
      .constants = {1}};
}

OpRow mean_squared_error_row() {
  return {.name = "mean_squared_error",
          .shapes = {large, large},
          .op = [](const In& in) { return mean_squared_error(in[0], in[1].value()); },
          .reference =
              [](const Ref& in) {
                Array loss{Shape{}};
                for (std::int64_t i = 0; i < in[0].size(); ++i) {
                  loss[0] += std::pow(in[0][i] - in[1][i], 2) / static_cast<double>(in[0].size());
                }
                return loss;
              },
          .constants = {1}};
}

OpRow mean_row() {
  return {.name = "mean",
          .shapes = {large},
          .op = [](const In& in) { return mean(in[0]); },
          .reference =
              [](const Ref& in) {
                Array y{Shape{}};
                y[0] = std::accumulate(in[0].values.begin(), in[0].values.end(), 0.0) /
                       static_cast<double>(in[0].size());
                return y;
              },
          .intervals = {{-1, 2}}};
}

OpRow dropout_row() {
  const Random random(11, "dropout", 5);
  return {.name = "dropout",
          .shapes = {large},
          .op = [=](const In& in) { return dropout(in[0], 0.3f, random); },
          .reference =
              [=](const Ref& in) {
                Array y(in[0].shape);
                for (std::int64_t i = 0; i < y.size(); ++i) {
                  y[i] = random.uniform(static_cast<std::uint64_t>(i)) < 0.3f ? 0 : in[0][i] / 0.7;
                }
                return y;
              }};
}

OpRow softmax_row(const std::string& name, const Shape& shape) {
  return {.name = name,
          .shapes = {shape},
          .op = [](const In& in) { return softmax(in[0]); },
          .reference = [](const Ref& in) { return reference::softmax(in[0]); },
          .intervals = {{-4, 4}}};
}

OpRow global_average_pool_row() {
  return {.name = "global_average_pool2d",
          .shapes = {{3, 9, 7, 21}},
          .op = [](const In& in) { return global_average_pool2d(in[0]); },
          .reference =
              [](const Ref& in) {
                Array y = reference::pool(in[0], {.size = {9, 7}, .stride = 1}, false);
                y.shape = {3, 21};
                return y;
              }};
}

OpRow zero_pad_row() {
  const Pad2D padding{.top = 1, .bottom = 2, .left = 0, .right = 3};
  return {.name = "zero_pad2d",
          .shapes = {{2, 3, 4, 5}},
          .op = [=](const In& in) { return zero_pad2d(in[0], padding); },
          .reference = [=](const Ref& in) { return reference::zero_pad(in[0], padding); },
          .exact = true};
}

constexpr Padding same = Padding::same, valid = Padding::valid;

}  // namespace

const std::vector<OpRow>& op_table() {
  static const std::vector<OpRow> rows{
      conv_row("conv2d 3 channels, same", {2, 6, 7, 3}, {3, 3, 3, 9}, {.padding = same}),
      conv_row("conv2d 16 to 17, valid", {1, 5, 6, 16}, {3, 3, 16, 17}, {}, false, false),
      conv_row("conv2d stride 2, same", {2, 7, 6, 4}, {3, 2, 4, 5}, {.stride = 2, .padding = same}),
      conv_row("conv2d dilation 2", {1, 8, 7, 3}, {3, 3, 3, 4}, {.dilation = 2}),
      conv_row("conv2d groups", {2, 5, 5, 6}, {3, 3, 2, 9}, {.padding = same, .groups = 3}),
      conv_row("conv2d 1x1", {2, 4, 5, 7}, {1, 1, 7, 33}, {}),
      conv_row("depthwise_conv2d same", {2, 6, 5, 19}, {3, 3, 19, 1}, {.padding = same}, true),
      conv_row("depthwise_conv2d multiplier, stride", {2, 7, 6, 5}, {3, 3, 5, 2},
               {.stride = {2, 1}}, true, false),
      dense_row("dense to 10", {5, 77, 10}),
      dense_row("dense to 33", {3, 21, 33}),
      batch_norm_row("batch_norm training, 19 channels", large, true),
      batch_norm_row("batch_norm training, 32 channels", {4, 5, 3, 32}, true),
      batch_norm_row("batch_norm training, 1 channel", {45, 1}, true),
      batch_norm_row("batch_norm training, 150 channels", {2, 3, 150}, true),
      batch_norm_row("batch_norm inference", {4, 5, 3, 7}, false),
      activation_row("relu", relu, [](double v) { return std::max(v, 0.0); }),
      activation_row("relu6", relu6, [](double v) { return std::min(std::max(v, 0.0), 6.0); }),
      activation_row(
          "leaky_relu", [](const Variable& x) { return leaky_relu(x, 0.25f); },
          [](double v) { return v > 0 ? v : 0.25 * v; }),
      activation_row("sigmoid", sigmoid, [](double v) { return 1 / (1 + std::exp(-v)); }),
      activation_row("tanh", tanh, [](double v) { return std::tanh(v); }),
      softmax_row("softmax", {5, 7}),
      softmax_row("softmax, long rows", {3, 2, 1301}),
      binary_row("add", large, large, true),
      binary_row("add, both broadcast", {3, 1, 5}, {4, 1}, true),
      binary_row("multiply", large, large, false),
      binary_row("multiply, per channel", {2, 3, 4, 5}, {5}, false),
      binary_row("multiply, scalar", {7, 3}, {}, false),
      concat_row("concat, last axis", {{3, 4, 5}, {3, 4, 2}, {3, 4, 1}}, -1),
      concat_row("concat, first axis", {{2, 9}, {5, 9}}, 0),
      reshape_row("reshape",
                  [](const Variable& x) {
                    return reshape(x, {7, -1, 10});
                  },
                  {7, 3, 10}),
      reshape_row("flatten", flatten, {3, 70}),
      pool_row("max_pool2d valid", {2, 7, 6, 19}, {}, true),
      pool_row("max_pool2d same, overlapping", {2, 6, 7, 5},
               {.size = 3, .stride = 2, .padding = same}, true),
      pool_row("average_pool2d valid", {2, 5, 6, 17}, {.size = {2, 3}, .stride = {1, 2}}, false),
      pool_row("average_pool2d same", {2, 6, 7, 5}, {.size = 3, .stride = 2, .padding = same},
               false),
      global_average_pool_row(),
      zero_pad_row(),
      dropout_row(),
      mean_row(),
      sparse_loss_row("sparse_softmax_cross_entropy", 0.0f),
      sparse_loss_row("sparse_softmax_cross_entropy, smoothed", 0.1f),
      dense_loss_row("softmax_cross_entropy", 0.0f),
      dense_loss_row("softmax_cross_entropy, smoothed", 0.2f),
      mean_squared_error_row(),
      fake_quant_row("fake_quant per tensor", {3, 5, 7}, {}),
      fake_quant_row("fake_quant large, 4 bits, narrow", large, {.bits = 4, .narrow_range = true}),
      fake_quant_row("fake_quant last axis", {3, 3, 5, 19}, {.axes = {3}}),
      fake_quant_row("fake_quant two axes", {3, 3, 6, 2}, {.bits = 6, .axes = {2, 3}}),
      fake_quant_row("fake_quant first axis", {4, 33}, {.bits = 3, .axes = {0}}),
  };
  return rows;
}

}  // namespace perch::test
