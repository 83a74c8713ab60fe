#include "tests/support/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace perch::test::reference {
namespace {

using Index = std::vector<std::int64_t>;

// Row-major index of an element.
Index index_of(const Shape& shape, std::int64_t element) {
  Index index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = element % shape[axis];
    element /= shape[axis];
  }
  return index;
}

std::int64_t element_of(const Shape& shape, const Index& index) {
  std::int64_t element = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    element = element * shape[axis] + index[static_cast<std::size_t>(axis)];
  }
  return element;
}

// The element of a smaller array that broadcasts to an index of a larger one.
std::int64_t broadcast_element(const Shape& shape, const Index& index) {
  Index own(index.end() - shape.rank(), index.end());
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) own[static_cast<std::size_t>(axis)] = 0;
  }
  return element_of(shape, own);
}

}  // namespace

Array map(const Array& x, const std::function<double(double)>& f) {
  Array y(x.shape);
  std::transform(x.values.begin(), x.values.end(), y.values.begin(), f);
  return y;
}

Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f) {
  const int rank = std::max(a.shape.rank(), b.shape.rank());
  std::vector<std::int64_t> extents(static_cast<std::size_t>(rank), 1);
  for (const Shape* shape : {&a.shape, &b.shape}) {
    for (int axis = 1; axis <= shape->rank(); ++axis) {
      std::int64_t& extent = extents[static_cast<std::size_t>(rank - axis)];
      extent = std::max(extent, (*shape)[-axis]);
    }
  }
  Array y{Shape(extents)};
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const Index index = index_of(y.shape, i);
    y[i] = f(a[broadcast_element(a.shape, index)], b[broadcast_element(b.shape, index)]);
  }
  return y;
}

Array concat(const std::vector<Array>& parts, int axis) {
  std::vector<std::int64_t> extents(parts[0].shape.begin(), parts[0].shape.end());
  auto& joined = extents[static_cast<std::size_t>(axis)];
  joined = 0;
  for (const Array& part : parts) joined += part.shape[axis];
  Array y{Shape(extents)};
  std::int64_t offset = 0;
  for (const Array& part : parts) {
    for (std::int64_t i = 0; i < part.size(); ++i) {
      Index index = index_of(part.shape, i);
      index[static_cast<std::size_t>(axis)] += offset;
      y[element_of(y.shape, index)] = part[i];
    }
    offset += part.shape[axis];
  }
  return y;
}

Array softmax(const Array& x) {
  Array y(x.shape);
  const std::int64_t columns = x.shape[-1];
  for (std::int64_t row = 0; row < x.size(); row += columns) {
    double total = 0;
    for (std::int64_t c = 0; c < columns; ++c) total += std::exp(x[row + c]);
    for (std::int64_t c = 0; c < columns; ++c) y[row + c] = std::exp(x[row + c]) / total;
  }
  return y;
}

Array batch_norm(const Array& x, const Array& gamma, const Array& beta, const Array& mean,
                 const Array& variance, double epsilon) {
  Array y(x.shape);
  const std::int64_t channels = x.shape[-1];
  const auto n = static_cast<double>(x.size() / channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    double m = 0, v = 0;
    if (mean.values.empty()) {
      for (std::int64_t i = c; i < x.size(); i += channels) m += x[i] / n;
      for (std::int64_t i = c; i < x.size(); i += channels) v += (x[i] - m) * (x[i] - m) / n;
    } else {
      m = mean[c];
      v = variance[c];
    }
    for (std::int64_t i = c; i < x.size(); i += channels) {
      y[i] = gamma[c] * (x[i] - m) / std::sqrt(v + epsilon) + beta[c];
    }
  }
  return y;
}

Array pool(const Array& x, const Pool2DOptions& o, bool largest) {
  // Output extent and padding in front along one axis, as Keras defines them.
  struct Axis {
    std::int64_t out, pad;
  };
  const auto axis = [&](std::int64_t in, std::int64_t window, std::int64_t stride) -> Axis {
    if (o.padding == Padding::valid) return {(in - window) / stride + 1, 0};
    const std::int64_t out = (in + stride - 1) / stride;
    return {out, std::max<std::int64_t>((out - 1) * stride + window - in, 0) / 2};
  };
  const Axis h = axis(x.shape[1], o.size.height, o.stride.height);
  const Axis w = axis(x.shape[2], o.size.width, o.stride.width);
  Array y(Shape{x.shape[0], h.out, w.out, x.shape[3]});
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const Index at = index_of(y.shape, i);
    double best = -std::numeric_limits<double>::infinity(), total = 0, count = 0;
    for (std::int64_t r = 0; r < o.size.height; ++r) {
      for (std::int64_t c = 0; c < o.size.width; ++c) {
        const std::int64_t row = at[1] * o.stride.height + r - h.pad;
        const std::int64_t column = at[2] * o.stride.width + c - w.pad;
        if (row < 0 || row >= x.shape[1] || column < 0 || column >= x.shape[2]) continue;
        const double value = x[element_of(x.shape, {at[0], row, column, at[3]})];
        best = std::max(best, value);
        total += value;
        count += 1;
      }
    }
    y[i] = largest ? best : total / count;
  }
  return y;
}

Array zero_pad(const Array& x, const Pad2D& padding) {
  Array y(Shape{x.shape[0], x.shape[1] + padding.top + padding.bottom,
                x.shape[2] + padding.left + padding.right, x.shape[3]});
  for (std::int64_t i = 0; i < x.size(); ++i) {
    Index index = index_of(x.shape, i);
    index[1] += padding.top;
    index[2] += padding.left;
    y[element_of(y.shape, index)] = x[i];
  }
  return y;
}

Array cross_entropy(const Array& logits, const Array& targets, double label_smoothing) {
  const Array probability = softmax(logits);
  const auto classes = static_cast<double>(logits.shape[1]);
  Array loss{Shape{}};
  for (std::int64_t i = 0; i < logits.size(); ++i) {
    const double target = (1 - label_smoothing) * targets[i] + label_smoothing / classes;
    loss[0] -= target * std::log(probability[i]) / static_cast<double>(logits.shape[0]);
  }
  return loss;
}

namespace {

struct Grid {
  double low, high, scale;
};

Grid grid_of(double min, double max, const FakeQuantOptions& options) {
  const double q_min = options.narrow_range ? 1 : 0, q_max = std::pow(2.0, options.bits) - 1;
  const double scale = (max - min) / (q_max - q_min);
  const double zero = std::clamp(std::round(q_min - min / scale), q_min, q_max);
  return {(q_min - zero) * scale, (q_max - zero) * scale, scale};
}

// Which of the ranges an element belongs to.
std::int64_t range_index(const Shape& shape, std::int64_t element, const std::vector<int>& axes) {
  const Index index = index_of(shape, element);
  std::int64_t range = 0;
  for (const int axis : axes) range = range * shape[axis] + index[static_cast<std::size_t>(axis)];
  return range;
}

}  // namespace

Array fake_quant(const std::vector<Array>& inputs, const FakeQuantOptions& options) {
  const Array& x = inputs[0];
  Array y(x.shape);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const std::int64_t range = range_index(x.shape, i, options.axes);
    const Grid grid = grid_of(inputs[1][range], inputs[2][range], options);
    const double level =
        std::floor((std::clamp(x[i], grid.low, grid.high) - grid.low) / grid.scale + 0.5);
    y[i] = level * grid.scale + grid.low;
  }
  return y;
}

std::vector<Array> fake_quant_gradients(const std::vector<Array>& inputs, const Array& dy,
                                        const FakeQuantOptions& options) {
  const Array& x = inputs[0];
  std::vector<Array> result{Array(x.shape), Array(inputs[1].shape), Array(inputs[2].shape)};
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const std::int64_t range = range_index(x.shape, i, options.axes);
    const Grid grid = grid_of(inputs[1][range], inputs[2][range], options);
    if (x[i] < grid.low) {
      result[1][range] += dy[i];
    } else if (x[i] > grid.high) {
      result[2][range] += dy[i];
    } else {
      result[0][i] = dy[i];
    }
  }
  return result;
}

}  // namespace perch::test::reference
