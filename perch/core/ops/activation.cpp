#include <limits>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/activation.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/suggest.h>

namespace perch {
namespace {

// y = kernel(x), elementwise.
template <class Kernel>
Tensor mapped(const Tensor& x, Kernel kernel) {
  Tensor y(x.shape());
  parallel_elements(x.size(), [&](ChunkRange range) {
    kernel(y.data() + range.begin, x.data() + range.begin, range.size());
  });
  return y;
}

// dx = kernel(dy, saved), elementwise, in dy's memory when it is free.
template <class Kernel>
Tensor mapped_gradient(const Tensor& dy, const Tensor& saved, Kernel kernel) {
  Tensor dx = reuse_or_allocate(dy);
  parallel_elements(dy.size(), [&](ChunkRange range) {
    kernel(dx.data() + range.begin, dy.data() + range.begin, saved.data() + range.begin,
           range.size());
  });
  return dx;
}

Variable clamp(const char* op, const Variable& x, float high) {
  Tensor y = mapped(x.value(), [high](float* to, const float* from, std::int64_t n) {
    kernels::active().elementwise.clamp(to, from, 0.0f, high, n);
  });
  return Variable::from_op(op, y, {x}, [y, high](Tensor dy) -> std::vector<Tensor> {
    return {mapped_gradient(
        dy, y, [high](float* dx, const float* upstream, const float* saved, std::int64_t n) {
          kernels::active().elementwise.clamp_gradient(dx, upstream, saved, 0.0f, high, n);
        })};
  });
}

// Rows per chunk, so that a chunk is about 64 KiB.
Chunks row_chunks(const Shape& shape) {
  const std::int64_t columns = shape[-1];
  return {columns == 0 ? 0 : shape.size() / columns, 16384 / (columns + 1) + 1};
}

}  // namespace

Variable relu(const Variable& x) {
  return clamp("relu", x, std::numeric_limits<float>::infinity());
}

Variable relu6(const Variable& x) {
  return clamp("relu6", x, 6.0f);
}

Variable leaky_relu(const Variable& x, float negative_slope) {
  Tensor y = mapped(x.value(), [=](float* to, const float* from, std::int64_t n) {
    kernels::active().elementwise.leaky_relu(to, from, negative_slope, n);
  });
  return Variable::from_op(
      "leaky_relu", std::move(y), {x},
      [saved = x.value(), negative_slope](Tensor dy) -> std::vector<Tensor> {
        return {mapped_gradient(
            dy, saved, [=](float* dx, const float* upstream, const float* from, std::int64_t n) {
              kernels::active().elementwise.leaky_relu_gradient(dx, upstream, from, negative_slope,
                                                                n);
            })};
      });
}

Variable sigmoid(const Variable& x) {
  Tensor y = mapped(x.value(), kernels::active().elementwise.sigmoid);
  return Variable::from_op("sigmoid", y, {x}, [y](Tensor dy) -> std::vector<Tensor> {
    return {mapped_gradient(dy, y, kernels::active().elementwise.sigmoid_gradient)};
  });
}

Variable tanh(const Variable& x) {
  Tensor y = mapped(x.value(), kernels::active().elementwise.tanh);
  return Variable::from_op("tanh", y, {x}, [y](Tensor dy) -> std::vector<Tensor> {
    return {mapped_gradient(dy, y, kernels::active().elementwise.tanh_gradient)};
  });
}

Variable softmax(const Variable& x) {
  PERCH_CHECK(x.shape().rank() >= 1, "softmax: a scalar has no last axis");
  const std::int64_t columns = x.shape()[-1];
  const Chunks chunks = row_chunks(x.shape());
  Tensor y(x.shape());
  parallel_for(chunks.number(), [&](std::int64_t i) {
    const std::int64_t at = chunks[i].begin * columns;
    kernels::active().elementwise.softmax(y.data() + at, x.value().data() + at, chunks[i].size(),
                                          columns);
  });
  const auto gradient = [y, columns, chunks](Tensor dy) -> std::vector<Tensor> {
    Tensor dx = reuse_or_allocate(dy);
    parallel_for(chunks.number(), [&](std::int64_t i) {
      const std::int64_t at = chunks[i].begin * columns;
      kernels::active().elementwise.softmax_gradient(dx.data() + at, dy.data() + at, y.data() + at,
                                                     chunks[i].size(), columns);
    });
    return {std::move(dx)};
  };
  return Variable::from_op("softmax", y, {x}, gradient, true);
}

Variable activation(const std::string& name, const Variable& x) {
  if (name == "linear") return x;
  if (name == "relu") return relu(x);
  if (name == "relu6") return relu6(x);
  if (name == "leaky_relu") return leaky_relu(x, 0.2f);
  if (name == "sigmoid") return sigmoid(x);
  if (name == "tanh") return tanh(x);
  if (name == "softmax") return softmax(x);
  fail(ErrorCode::usage, "activation \"{}\" is unknown; choose one of {}", name,
       choices(name, activation_names()));
}

const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names{"linear",  "relu", "relu6",  "leaky_relu",
                                              "sigmoid", "tanh", "softmax"};
  return names;
}

}  // namespace perch
