#include <algorithm>

#include <perch/core/blas.h>
#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/dense.h>
#include <perch/core/parallel.h>

namespace perch {
namespace {

// Up to here kernels of our own beat OpenBLAS, which is at its worst with few columns.
constexpr std::int64_t skinny_outputs = 16;
// Inputs per chunk: their weights stay in the second cache while all images go by.
constexpr std::int64_t chunk_inputs = 2048;
constexpr std::int64_t largest_lanes = 16;
// One cache line more per row of weights: at a power of two all rows would share a few cache sets.
constexpr std::int64_t row_offset = 16;
// Tiles of the large products' results.
constexpr std::int64_t tile_rows = 64;
constexpr std::int64_t tile_cols = 256;

struct Extents {
  std::int64_t images, inputs, outputs;
};

Tensor column_sums(const Tensor& dy) {
  const std::int64_t outputs = dy.shape()[1];
  Tensor sums = Tensor::zeros(Shape{outputs});
  const float* row = dy.data();
  for (std::int64_t n = 0; n < dy.shape()[0]; ++n, row += outputs) {
    for (std::int64_t f = 0; f < outputs; ++f) sums.data()[f] += row[f];
  }
  return sums;
}

/// Weights [inputs, outputs] turned over, in chunks of [outputs][chunk_inputs].
class SkinnyDense {
 public:
  explicit SkinnyDense(const Extents& extents)
      : extents_(extents),
        chunks_(extents.inputs, chunk_inputs),
        stride_((std::min(extents.inputs, chunk_inputs) + largest_lanes - 1) / largest_lanes *
                    largest_lanes +
                row_offset) {}

  Tensor pack(const Tensor& kernel) const {
    Tensor packed({chunks_.number(), extents_.outputs, stride_});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      const float* const from = kernel.data() + chunks_[i].begin * extents_.outputs;
      float* to = packed.data() + i * chunk_floats();
      const std::int64_t count = chunks_[i].size();
      for (std::int64_t f = 0; f < extents_.outputs; ++f, to += stride_) {
        for (std::int64_t k = 0; k < count; ++k) to[k] = from[k * extents_.outputs + f];
        std::fill(to + count, to + stride_, 0.0f);
      }
    });
    return packed;
  }

  Tensor forward(const Tensor& x, const Tensor& packed, const Tensor& bias) const {
    const std::int64_t count = extents_.images * extents_.outputs;
    Tensor partials({chunks_.number(), count});
    Tensor scratch({thread_count(), count * largest_lanes});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      kernels::active().dense.forward(
          shape(i), x.data() + chunks_[i].begin, packed.data() + i * chunk_floats(),
          scratch.data() + worker_slot() * count * largest_lanes, partials.data() + i * count);
    });
    Tensor y({extents_.images, extents_.outputs});
    for (std::int64_t j = 0; j < count; ++j) {
      float sum = bias.empty() ? 0.0f : bias.data()[j % extents_.outputs];
      for (std::int64_t i = 0; i < chunks_.number(); ++i) sum += partials.data()[i * count + j];
      y.data()[j] = sum;
    }
    return y;
  }

  Tensor input_gradient(const Tensor& dy, const Tensor& packed) const {
    Tensor dx({extents_.images, extents_.inputs});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      kernels::active().dense.input_gradient(
          shape(i), dy.data(), packed.data() + i * chunk_floats(), dx.data() + chunks_[i].begin);
    });
    return dx;
  }

  Tensor kernel_gradient(const Tensor& x, const Tensor& dy) const {
    Tensor turned({chunks_.number(), extents_.outputs, stride_});
    Tensor gradient({extents_.inputs, extents_.outputs});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      float* const from = turned.data() + i * chunk_floats();
      kernels::active().dense.weight_gradient(shape(i), x.data() + chunks_[i].begin, dy.data(),
                                              from);
      float* to = gradient.data() + chunks_[i].begin * extents_.outputs;
      for (std::int64_t k = 0; k < chunks_[i].size(); ++k) {
        for (std::int64_t f = 0; f < extents_.outputs; ++f) *to++ = from[f * stride_ + k];
      }
    });
    return gradient;
  }

 private:
  std::int64_t chunk_floats() const { return extents_.outputs * stride_; }
  kernels::DenseShape shape(std::int64_t chunk) const {
    return {.images = extents_.images,
            .inputs = chunks_[chunk].size(),
            .outputs = extents_.outputs,
            .x_stride = extents_.inputs,
            .weight_stride = stride_,
            .y_stride = extents_.outputs};
  }

  Extents extents_;
  Chunks chunks_;
  std::int64_t stride_;
};

/// A row-major factor of a product, perhaps transposed.
struct Factor {
  const Tensor& values;
  blas::Transpose transpose;

  std::int64_t stride() const { return values.shape()[1]; }
  /// Where row `row` of the left factor, or column `col` of the right one, starts.
  const float* left_row(std::int64_t row) const {
    return values.data() + row * (transpose == blas::Transpose::no ? stride() : 1);
  }
  const float* right_col(std::int64_t col) const {
    return values.data() + col * (transpose == blas::Transpose::no ? 1 : stride());
  }
};

/// left [rows, depth] times right [depth, cols], tile by tile.
Tensor tiled_product(const Factor& left, const Factor& right, std::int64_t rows, std::int64_t depth,
                     std::int64_t cols, const Tensor& bias = {}) {
  Tensor result({rows, cols});
  const Chunks row_tiles(rows, tile_rows), col_tiles(cols, tile_cols);
  parallel_for(row_tiles.number() * col_tiles.number(), [&](std::int64_t i) {
    const ChunkRange r = row_tiles[i / col_tiles.number()], c = col_tiles[i % col_tiles.number()];
    float* const to = result.data() + r.begin * cols + c.begin;
    if (!bias.empty()) {
      for (std::int64_t row = 0; row < r.size(); ++row) {
        std::copy_n(bias.data() + c.begin, c.size(), to + row * cols);
      }
    }
    blas::gemm(left.transpose, right.transpose, r.size(), c.size(), depth, 1.0f,
               left.left_row(r.begin), left.stride(), right.right_col(c.begin), right.stride(),
               bias.empty() ? 0.0f : 1.0f, to, cols);
  });
  return result;
}

struct Wanted {
  bool input, kernel, bias;
};

Variable skinny_dense(const Extents& e, const Variable& x, const Variable& kernel,
                      const Variable& bias, std::vector<Variable> inputs, const Wanted& wanted) {
  const SkinnyDense product(e);
  const Tensor packed = product.pack(kernel.value());
  Tensor y = product.forward(x.value(), packed, bias.defined() ? bias.value() : Tensor());
  return Variable::from_op("dense", std::move(y), std::move(inputs),
                           [product, wanted, x_value = wanted.kernel ? x.value() : Tensor(),
                            packed = wanted.input ? packed : Tensor()](Tensor dy) {
                             std::vector<Tensor> gradients(3);
                             if (wanted.input) gradients[0] = product.input_gradient(dy, packed);
                             if (wanted.kernel) gradients[1] = product.kernel_gradient(x_value, dy);
                             if (wanted.bias) gradients[2] = column_sums(dy);
                             return gradients;
                           });
}

Variable wide_dense(const Extents& e, const Variable& x, const Variable& kernel,
                    const Variable& bias, std::vector<Variable> inputs, const Wanted& wanted) {
  constexpr auto plain = blas::Transpose::no, turned = blas::Transpose::yes;
  Tensor y = tiled_product({x.value(), plain}, {kernel.value(), plain}, e.images, e.inputs,
                           e.outputs, bias.defined() ? bias.value() : Tensor());
  return Variable::from_op("dense", std::move(y), std::move(inputs),
                           [e, wanted, x_value = wanted.kernel ? x.value() : Tensor(),
                            kernel_value = wanted.input ? kernel.value() : Tensor()](Tensor dy) {
                             std::vector<Tensor> gradients(3);
                             if (wanted.input) {
                               gradients[0] = tiled_product({dy, plain}, {kernel_value, turned},
                                                            e.images, e.outputs, e.inputs);
                             }
                             if (wanted.kernel) {
                               gradients[1] = tiled_product({x_value, turned}, {dy, plain},
                                                            e.inputs, e.images, e.outputs);
                             }
                             if (wanted.bias) gradients[2] = column_sums(dy);
                             return gradients;
                           });
}

}  // namespace

Variable dense(const Variable& x, const Variable& kernel, const Variable& bias) {
  PERCH_CHECK(x.shape().rank() == 2, "dense: input of shape {}, but it must be [N, K]: flatten it",
              x.shape().to_string());
  PERCH_CHECK(kernel.shape().rank() == 2 && kernel.shape().size() >= 1,
              "dense: kernel of shape {}, but it must be [K, F]", kernel.shape().to_string());
  const Extents e{x.shape()[0], kernel.shape()[0], kernel.shape()[1]};
  PERCH_CHECK(x.shape()[1] == e.inputs,
              "dense: input {} has {} features, but the kernel {} takes {}", x.shape().to_string(),
              x.shape()[1], kernel.shape().to_string(), e.inputs);
  PERCH_CHECK(!bias.defined() || bias.shape() == Shape{e.outputs},
              "dense: bias of shape {}, but there are {} outputs: it must be [{}]",
              bias.shape().to_string(), e.outputs, e.outputs);
  std::vector<Variable> inputs{x, kernel};
  if (bias.defined()) inputs.push_back(bias);
  const Wanted wanted{x.requires_grad(), kernel.requires_grad(), bias.requires_grad()};
  return (e.outputs <= skinny_outputs ? skinny_dense : wide_dense)(e, x, kernel, bias,
                                                                   std::move(inputs), wanted);
}

}  // namespace perch
