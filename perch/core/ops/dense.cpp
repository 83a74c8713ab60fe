#include <algorithm>

#include <perch/core/blas.h>
#include <perch/core/check.h>
#include <perch/core/encoding.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv_product.h>
#include <perch/core/ops/dense.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/core/parallel.h>
#include <perch/core/profile.h>

namespace perch {
namespace {

// Up to here kernels of our own beat OpenBLAS, which is at its worst with few columns.
constexpr std::int64_t skinny_outputs = 16;
// Inputs per chunk: their weights stay in the second cache while all images go by.
constexpr std::int64_t chunk_inputs = 2048;
// Inputs whose weights stay in the first cache meanwhile, and images that are read at once.
constexpr std::int64_t tile_inputs = 1024;
constexpr std::int64_t tile_images = 2;
// The same for the weights' gradient, whose images all go by for a few inputs.
constexpr std::int64_t gradient_tile_inputs = 256;
constexpr std::int64_t gradient_tile_images = 64;
constexpr std::int64_t largest_lanes = 16;
// One cache line more per row of weights: at a power of two all rows would share a few cache sets.
constexpr std::int64_t row_offset = 16;
// Tiles of the large products' results.
constexpr std::int64_t tile_rows = 64;
constexpr std::int64_t tile_cols = 256;

struct Extents {
  std::int64_t images, inputs, outputs;
};

void count_products(const Extents& e, int passes) {
  count_work(
      2.0 * passes * static_cast<double>(e.images * e.inputs) * static_cast<double>(e.outputs),
      0.0);
}

Tensor column_sums(const Tensor& dy) {
  const std::int64_t outputs = dy.shape()[1];
  Tensor sums = Tensor::zeros(Shape{outputs});
  const float* row = dy.data();
  for (std::int64_t n = 0; n < dy.shape()[0]; ++n, row += outputs) {
    for (std::int64_t f = 0; f < outputs; ++f) sums.data()[f] += row[f];
  }
  return sums;
}

/// Rows of x, tile by tile: in place, or decoded into scratch memory.
class Rows {
 public:
  Rows(const Tensor& x, std::int64_t inputs) : x_(x), inputs_(inputs) {}
  struct Tile {
    const float* data;
    std::int64_t stride;
  };
  Tile read(ChunkRange images, ChunkRange inputs, float* scratch) const {
    const Encoding* const encoding = x_.deferred();
    if (encoding == nullptr) {
      return {x_.data() + images.begin * inputs_ + inputs.begin, inputs_};
    }
    const std::int64_t stride = (inputs.size() + largest_lanes - 1) / largest_lanes * largest_lanes;
    for (std::int64_t n = 0; n < images.size(); ++n) {
      encoding->read((images.begin + n) * inputs_ + inputs.begin, inputs.size(),
                     scratch + n * stride);
    }
    return {scratch, stride};
  }

 private:
  const Tensor& x_;
  std::int64_t inputs_;
};

/// Products with weights [inputs, outputs], which are turned over chunk by chunk, as
/// [outputs][chunk_inputs], where they are used: they stay in the second cache meanwhile.
class SkinnyDense {
 public:
  explicit SkinnyDense(const Extents& extents)
      : extents_(extents),
        chunks_(extents.inputs, chunk_inputs),
        stride_((std::min(extents.inputs, chunk_inputs) + largest_lanes - 1) / largest_lanes *
                    largest_lanes +
                row_offset) {}

  Tensor forward(const Tensor& x, const Tensor& weights, const Tensor& bias) const {
    const std::int64_t count = extents_.images * extents_.outputs;
    const auto& kernel = kernels::active().dense;
    const Rows rows(x, extents_.inputs);
    Tensor partials({chunks_.number(), count});
    Tensor scratch(
        {thread_count(), chunk_floats() + count * largest_lanes + tile_images * tile_inputs});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      float* const turned = scratch.data() + worker_slot() * scratch.shape()[1];
      float* const sums = turned + chunk_floats();
      float* const read = sums + count * largest_lanes;
      turn_over(weights, chunks_[i], turned);
      for_tiles(chunks_[i], tile_inputs, tile_images, [&](ChunkRange inputs, ChunkRange images) {
        const Rows::Tile tile = rows.read(images, inputs, read);
        kernel.accumulate(shape(images, inputs, tile.stride), tile.data,
                          turned + inputs.begin - chunks_[i].begin,
                          inputs.begin == chunks_[i].begin,
                          sums + images.begin * extents_.outputs * kernel.lanes);
      });
      kernel.add_lanes(sums, count, partials.data() + i * count);
    });
    Tensor y({extents_.images, extents_.outputs});
    for (std::int64_t j = 0; j < count; ++j) {
      float sum = bias.empty() ? 0.0f : bias.data()[j % extents_.outputs];
      for (std::int64_t i = 0; i < chunks_.number(); ++i) sum += partials.data()[i * count + j];
      y.data()[j] = sum;
    }
    return y;
  }

  /// Of the input, where the weights are given, and of the weights, where x is, in one walk over
  /// the inputs.
  struct Gradients {
    Tensor input, weights;
  };
  Gradients gradients(const Tensor& x, const Tensor& weights, const Tensor& dy) const {
    const auto& kernel = kernels::active().dense;
    Gradients result;
    if (!weights.empty()) result.input = Tensor({extents_.images, extents_.inputs});
    if (!x.empty()) result.weights = Tensor({extents_.inputs, extents_.outputs});
    const Rows rows(x, extents_.inputs);
    const std::int64_t read_floats = gradient_tile_images * gradient_tile_inputs;
    Tensor scratch({thread_count(), chunk_floats() + read_floats});
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      const ChunkRange chunk = chunks_[i];
      float* const turned = scratch.data() + worker_slot() * scratch.shape()[1];
      float* const read = turned + chunk_floats();
      if (!weights.empty()) {
        turn_over(weights, chunk, turned);
        kernel.input_gradient(shape({0, extents_.images}, chunk, extents_.inputs), dy.data(),
                              turned, result.input.data() + chunk.begin);
      }
      if (x.empty()) return;
      for_tiles(chunk, gradient_tile_inputs, gradient_tile_images,
                [&](ChunkRange inputs, ChunkRange images) {
                  const Rows::Tile tile = rows.read(images, inputs, read);
                  kernel.weight_gradient(shape(images, inputs, tile.stride), tile.data,
                                         dy.data() + images.begin * extents_.outputs,
                                         images.begin == 0, turned + inputs.begin - chunk.begin);
                });
      kernel.transpose(turned, extents_.outputs, chunk.size(), stride_,
                       result.weights.data() + chunk.begin * extents_.outputs, extents_.outputs);
    });
    return result;
  }

 private:
  std::int64_t chunk_floats() const { return extents_.outputs * stride_; }
  void turn_over(const Tensor& weights, ChunkRange chunk, float* to) const {
    kernels::active().dense.transpose(weights.data() + chunk.begin * extents_.outputs, chunk.size(),
                                      extents_.outputs, extents_.outputs, to, stride_);
    for (std::int64_t f = 0; f < extents_.outputs; ++f) {
      std::fill(to + f * stride_ + chunk.size(), to + (f + 1) * stride_, 0.0f);
    }
  }
  kernels::DenseShape shape(ChunkRange images, ChunkRange inputs, std::int64_t x_stride) const {
    return {.images = images.size(),
            .inputs = inputs.size(),
            .outputs = extents_.outputs,
            .x_stride = x_stride,
            .weight_stride = stride_,
            .y_stride = extents_.outputs};
  }
  /// body(inputs, images) for every tile of a chunk.
  template <class Body>
  void for_tiles(ChunkRange chunk, std::int64_t most_inputs, std::int64_t most_images,
                 const Body& body) const {
    for (std::int64_t k = chunk.begin; k < chunk.end; k += most_inputs) {
      for (std::int64_t n = 0; n < extents_.images; n += most_images) {
        body(ChunkRange{k, std::min(k + most_inputs, chunk.end)},
             ChunkRange{n, std::min(n + most_images, extents_.images)});
      }
    }
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

/// The product formed from integer codes, as a convolution of images of one pixel; nothing where x
/// or kernel has none.
Tensor integer_product(const Extents& e, const Tensor& x, const Tensor& kernel,
                       const Tensor& bias) {
  if (!integer_forward() || x.grid() == nullptr || kernel.grid() == nullptr) return {};
  const conv::Problem problem{
      WindowGeometry::of("dense", {e.images, 1, 1, e.inputs}, 1, 1, Padding::valid), e.outputs, 1};
  const conv::Product product(problem, x, kernel, bias);
  if (!product.is_integer()) return {};
  Tensor y({e.images, e.outputs});
  product.run({.all = y.data()});
  return y;
}

Variable skinny_dense(const Extents& e, const Variable& x, const Variable& kernel,
                      const Variable& bias, std::vector<Variable> inputs, const Wanted& wanted) {
  const SkinnyDense product(e);
  const Tensor bias_value = bias.defined() ? bias.value() : Tensor();
  Tensor y = integer_product(e, x.value(), kernel.value(), bias_value);
  if (y.empty()) {
    count_products(e, 1);
    y = product.forward(x.value(), kernel.value(), bias_value);
  }
  return Variable::from_op("dense", std::move(y), std::move(inputs),
                           [e, product, wanted, x_value = wanted.kernel ? x.value() : Tensor(),
                            weights = wanted.input ? kernel.value() : Tensor()](Tensor dy) {
                             count_products(e, wanted.input + wanted.kernel);
                             auto all = product.gradients(x_value, weights, dy);
                             return std::vector<Tensor>{std::move(all.input),
                                                        std::move(all.weights),
                                                        wanted.bias ? column_sums(dy) : Tensor()};
                           });
}

Variable wide_dense(const Extents& e, const Variable& x, const Variable& kernel,
                    const Variable& bias, std::vector<Variable> inputs, const Wanted& wanted) {
  constexpr auto plain = blas::Transpose::no, turned = blas::Transpose::yes;
  const Tensor bias_value = bias.defined() ? bias.value() : Tensor();
  Tensor y = integer_product(e, x.value(), kernel.value(), bias_value);
  if (y.empty()) {
    count_products(e, 1);
    y = tiled_product({x.value(), plain}, {kernel.value(), plain}, e.images, e.inputs, e.outputs,
                      bias_value);
  }
  return Variable::from_op("dense", std::move(y), std::move(inputs),
                           [e, wanted, x_value = wanted.kernel ? x.value() : Tensor(),
                            kernel_value = wanted.input ? kernel.value() : Tensor()](Tensor dy) {
                             count_products(e, wanted.input + wanted.kernel);
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
