#include <algorithm>
#include <numeric>

#include <xtensor/xnoalias.hpp>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>
#include <perch/core/xt_view.h>

namespace perch {
namespace {

void multiply_into(Tensor& y, const Tensor& a, const Tensor& b) {
  parallel_elements(y.size(), [&](ChunkRange range) {
    kernels::active().elementwise.multiply(y.data() + range.begin, a.data() + range.begin,
                                           b.data() + range.begin, range.size());
  });
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor y(broadcast_shape(a.shape(), b.shape()));
  if (a.shape() == b.shape()) {
    multiply_into(y, a, b);
  } else {
    xt::noalias(xt_view(y)) = xt_view(a) * xt_view(b);
  }
  return y;
}

Tensor sum_with_broadcast(const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape()) return sum_of(a, b);
  Tensor y(broadcast_shape(a.shape(), b.shape()));
  xt::noalias(xt_view(y)) = xt_view(a) + xt_view(b);
  return y;
}

// The copies that concat makes: `outer` rows, of which part p fills [offset, offset + length).
struct Slice {
  std::int64_t offset, length;
  Shape shape;
};

// Calls copy(outer index, slice index, offset in the joined tensor, offset in the part).
template <class Copy>
void for_each_piece(std::int64_t outer, std::int64_t row, const std::vector<Slice>& slices,
                    Copy copy) {
  const Chunks chunks(outer, 16384 / (row + 1) + 1);
  parallel_for(chunks.number(), [&](std::int64_t chunk) {
    for (std::int64_t i = chunks[chunk].begin; i < chunks[chunk].end; ++i) {
      for (std::size_t p = 0; p < slices.size(); ++p) {
        copy(p, i * row + slices[p].offset, i * slices[p].length);
      }
    }
  });
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  Tensor y = sum_with_broadcast(a.value(), b.value());
  const bool to_a = a.requires_grad(), to_b = b.requires_grad();
  return Variable::from_op("add", std::move(y), {a, b},
                           [to_a, to_b](Tensor dy) -> std::vector<Tensor> {
                             Tensor da = to_a ? dy : Tensor();
                             return {std::move(da), to_b ? std::move(dy) : Tensor()};
                           });
}

Variable multiply(const Variable& a, const Variable& b) {
  const bool to_a = a.requires_grad(), to_b = b.requires_grad();
  return Variable::from_op(
      "multiply", product(a.value(), b.value()), {a, b},
      [va = a.value(), vb = b.value(), to_a, to_b](Tensor dy) -> std::vector<Tensor> {
        Tensor da, db;
        if (to_a) da = product(dy, vb);
        if (to_b && va.shape() == dy.shape()) {
          db = reuse_or_allocate(dy);
          multiply_into(db, dy, va);
        } else if (to_b) {
          db = product(dy, va);
        }
        return {std::move(da), std::move(db)};
      });
}

Variable mean(const Variable& x) {
  const std::int64_t count = x.value().size();
  PERCH_CHECK(count > 0, "mean: shape {} has no elements", x.shape().to_string());
  const Chunks chunks(count, 16384);
  const auto partial = allocate_doubles(chunks.number());
  parallel_for(chunks.number(), [&](std::int64_t i) {
    partial.get()[i] =
        kernels::active().elementwise.sum(x.value().data() + chunks[i].begin, chunks[i].size());
  });
  const double total = std::accumulate(partial.get(), partial.get() + chunks.number(), 0.0);
  const auto n = static_cast<double>(count);
  return Variable::from_op("mean", Tensor::scalar(static_cast<float>(total / n)), {x},
                           [shape = x.shape(), n](Tensor dy) -> std::vector<Tensor> {
                             return {Tensor::full(shape, static_cast<float>(dy.item() / n))};
                           });
}

Variable concat(const std::vector<Variable>& parts, int axis) {
  PERCH_CHECK(!parts.empty(), "concat: nothing to join");
  const Shape& first = parts.front().shape();
  const int joined = first.normalise(axis);
  std::vector<std::int64_t> extents(first.begin(), first.end());
  extents[static_cast<std::size_t>(joined)] = 0;
  for (const Variable& part : parts) {
    bool fits = part.shape().rank() == first.rank();
    for (int i = 0; fits && i < first.rank(); ++i) {
      fits = i == joined || part.shape()[i] == first[i];
    }
    PERCH_CHECK(fits, "concat: shapes {} and {} differ outside of axis {}", first.to_string(),
                part.shape().to_string(), joined);
    extents[static_cast<std::size_t>(joined)] += part.shape()[joined];
  }
  const Shape shape(extents);
  const auto product_of = [&](int from, int to) {
    return std::accumulate(shape.begin() + from, shape.begin() + to, std::int64_t{1},
                           std::multiplies<>());
  };
  const std::int64_t outer = product_of(0, joined), inner = product_of(joined + 1, shape.rank());

  std::vector<Slice> slices;
  std::int64_t row = 0;
  for (const Variable& part : parts) {
    slices.push_back({row, part.shape()[joined] * inner, part.shape()});
    row += slices.back().length;
  }
  Tensor y(shape);
  for_each_piece(outer, row, slices, [&](std::size_t p, std::int64_t to, std::int64_t from) {
    std::copy_n(parts[p].value().data() + from, slices[p].length, y.data() + to);
  });
  return Variable::from_op(
      "concat", std::move(y), parts, [slices, outer, row](Tensor dy) -> std::vector<Tensor> {
        std::vector<Tensor> gradients;
        for (const Slice& slice : slices) gradients.emplace_back(slice.shape);
        for_each_piece(outer, row, slices, [&](std::size_t p, std::int64_t from, std::int64_t to) {
          std::copy_n(std::as_const(dy).data() + from, slices[p].length, gradients[p].data() + to);
        });
        return gradients;
      });
}

Variable reshape(const Variable& x, const std::vector<std::int64_t>& extents) {
  std::vector<std::int64_t> known = extents;
  const auto open = std::find(known.begin(), known.end(), -1);
  if (open != known.end()) {
    *open = 1;
    const std::int64_t rest = Shape(known).size();
    PERCH_CHECK(rest > 0 && x.value().size() % rest == 0, "reshape: {} elements do not fill [{}]",
                x.value().size(), fmt::join(extents, ", "));
    *open = x.value().size() / rest;
  }
  return Variable::from_op(
      "reshape", x.value().reshape(Shape(known)), {x},
      [shape = x.shape()](Tensor dy) -> std::vector<Tensor> { return {dy.reshape(shape)}; });
}

Variable flatten(const Variable& x) {
  PERCH_CHECK(x.shape().rank() >= 1, "flatten: a scalar has no batch axis");
  return reshape(x, {x.shape()[0], x.shape().unbatched().size()});
}

Variable dropout(const Variable& x, float rate, const Random& random) {
  PERCH_CHECK(rate >= 0.0f && rate < 1.0f, "dropout: rate {} is outside of [0, 1)", rate);
  if (rate == 0.0f) return x;
  Tensor mask(x.shape());
  parallel_elements(mask.size(), [&](ChunkRange range) {
    const auto part = mask.values().subspan(static_cast<std::size_t>(range.begin),
                                            static_cast<std::size_t>(range.size()));
    random.fill_uniform(part, static_cast<std::uint64_t>(range.begin));
    for (float& value : part) value = value < rate ? 0.0f : 1.0f / (1.0f - rate);
  });
  return multiply(x, Variable(std::move(mask)));
}

}  // namespace perch
