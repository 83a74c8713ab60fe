#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/batch_norm.h>
#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/code_moments.h>
#include <perch/core/ops/moments.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>

namespace perch {
namespace {

// The incomplete row at the end of x, completed by values that a sum does not notice.
Tensor complete_row(const float* tail, std::int64_t count, const Tensor& neutral) {
  Tensor row = neutral.clone();
  std::copy_n(tail, count, row.data());
  return row;
}

// Runs kernel(row offset, rows, sums, products) on the complete rows of a chunk and, if there is
// one, tail_kernel(row offset, count, sums, products) on the incomplete row; adds the results per
// channel into first[C] and, unless it is null, second[C].
template <class Kernel, class Tail>
void chunk_sums(const ChannelLayout& layout, ChunkRange range, double* first, double* second,
                Kernel kernel, Tail tail_kernel) {
  const std::int64_t width = layout.width(), rows = range.size() / width;
  const std::int64_t rest = range.size() % width;
  const auto wide = allocate_doubles(4 * width);
  double* const sums = wide.get();
  double* const products = second == nullptr ? nullptr : sums + width;
  kernel(range.begin, rows, sums, products);
  if (rest != 0) {
    double* const more = sums + 2 * width;
    tail_kernel(range.begin + rows * width, rest, more, second == nullptr ? nullptr : more + width);
    const std::int64_t used = second == nullptr ? width : 2 * width;
    std::transform(sums, sums + used, more, sums, std::plus<>());
  }
  layout.fold(sums, first);
  if (second != nullptr) layout.fold(products, second);
}

// What the forward pass leaves to the gradient.
struct Saved {
  ChannelLayout layout;
  Tensor x;
  Normalisation norm;
  Tensor mean, scale;  // per column
  bool training, to_x, to_gamma, to_beta;
};

// Sums of dy and of dy (x - mean) per channel: [2, C].
std::shared_ptr<double> gradient_sums(const Saved& saved, const Tensor& dy) {
  const ChannelLayout& layout = saved.layout;
  const std::int64_t channels = layout.channels();
  const auto& norm = kernels::active().norm;
  const Chunks& chunks = layout.chunks();
  const Tensor zero = Tensor::zeros({layout.width()});
  const auto partial = allocate_doubles(chunks.number() * 2 * channels);
  parallel_for(chunks.number(), [&](std::int64_t i) {
    double* const sums = partial.get() + i * 2 * channels;
    chunk_sums(
        layout, chunks[i], sums, sums + channels,
        [&](std::int64_t at, std::int64_t rows, double* values, double* products) {
          norm.gradient_sums(dy.data() + at, saved.x.data() + at, saved.mean.data(), rows,
                             layout.width(), values, products);
        },
        [&](std::int64_t at, std::int64_t count, double* values, double* products) {
          const Tensor upstream = complete_row(dy.data() + at, count, zero);
          const Tensor row = complete_row(saved.x.data() + at, count, saved.mean);
          norm.gradient_sums(upstream.data(), row.data(), saved.mean.data(), 1, layout.width(),
                             values, products);
        });
  });
  const auto total = allocate_doubles(2 * channels);
  std::fill_n(total.get(), 2 * channels, 0.0);
  for (std::int64_t i = 0; i < chunks.number(); ++i) {
    std::transform(total.get(), total.get() + 2 * channels, partial.get() + i * 2 * channels,
                   total.get(), std::plus<>());
  }
  return total;
}

// With n values per channel, s1 = sum dy, s2 = sum dy (x - mean) and d the deviation:
// dbeta = s1, dgamma = s2 / d, and in training
// dx = gamma / d (dy - s1 / n - (x - mean) s2 / (n d^2)); else only its first term.
std::vector<Tensor> gradients(const Saved& saved, const Tensor& dy) {
  const ChannelLayout& layout = saved.layout;
  const std::int64_t channels = layout.channels(), width = layout.width();
  const auto& norm = kernels::active().norm;
  const double* const inverse = saved.norm.inverse_deviation.get();
  Tensor dx, dgamma, dbeta;
  std::shared_ptr<double> sums;
  if (saved.to_gamma || saved.to_beta || (saved.training && saved.to_x)) {
    sums = gradient_sums(saved, dy);
  }
  if (saved.to_gamma) {
    dgamma = Tensor(Shape{channels});
    for (std::int64_t c = 0; c < channels; ++c) {
      dgamma.data()[c] = static_cast<float>(sums.get()[channels + c] * inverse[c]);
    }
  }
  if (saved.to_beta) {
    dbeta = Tensor(Shape{channels});
    std::copy_n(sums.get(), channels, dbeta.data());
  }
  if (saved.to_x && saved.training) {
    const auto n = static_cast<double>(dy.size() / channels);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double d = inverse[c];
      sums.get()[c] /= n;
      sums.get()[channels + c] *= d * d / n;
    }
    const Tensor offset = layout.widen(sums.get()), slope = layout.widen(sums.get() + channels);
    dx = reuse_or_allocate(dy);
    parallel_for(layout.chunks().number(), [&](std::int64_t i) {
      const ChunkRange range = layout.chunks()[i];
      norm.gradient(dx.data() + range.begin, dy.data() + range.begin, saved.x.data() + range.begin,
                    saved.mean.data(), offset.data(), slope.data(), saved.scale.data(),
                    range.size(), width);
    });
  } else if (saved.to_x) {
    dx = scale_columns(layout, dy, saved.scale, reuse_or_allocate(dy));
  }
  return {std::move(dx), std::move(dgamma), std::move(dbeta)};
}

void check_shapes(const Variable& x, const Variable& gamma, const Variable& beta,
                  const Tensor& moving_mean, const Tensor& moving_variance) {
  PERCH_CHECK(x.shape().rank() >= 2 && x.value().size() > 0,
              "batch_norm: x of shape {} should be [..., channels] and not empty",
              x.shape().to_string());
  const Shape expected{x.shape()[-1]};
  const auto check = [&](const char* name, const Shape& shape) {
    PERCH_CHECK(shape == expected, "batch_norm: {} has shape {}, but x of shape {} needs {}", name,
                shape.to_string(), x.shape().to_string(), expected.to_string());
  };
  if (gamma.defined()) check("gamma", gamma.shape());
  if (beta.defined()) check("beta", beta.shape());
  check("the moving mean", moving_mean.shape());
  check("the moving variance", moving_variance.shape());
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    Tensor& moving_mean, Tensor& moving_variance, const BatchNormOptions& options) {
  check_shapes(x, gamma, beta, moving_mean, moving_variance);
  const std::int64_t channels = x.shape()[-1];
  const ChannelLayout layout(x.value().size(), channels);
  const Moments moments = options.training ? batch_moments(layout, x.value())
                                           : Moments::of(moving_mean, moving_variance);
  if (options.training) {
    moments.move(moving_mean, moving_variance, x.value().size() / channels, options.momentum);
  }
  const Normalisation norm(moments, gamma.defined() ? gamma.value() : Tensor(), options.epsilon);
  Saved saved{layout,
              x.value(),
              norm,
              layout.widen(moments.mean()),
              layout.widen(norm.scale.get()),
              options.training,
              x.requires_grad(),
              gamma.requires_grad(),
              beta.requires_grad()};
  const Tensor offset =
      beta.defined() ? layout.widen(beta.value().data()) : Tensor::zeros({layout.width()});
  Tensor y(x.shape());
  parallel_for(layout.chunks().number(), [&](std::int64_t i) {
    const ChunkRange range = layout.chunks()[i];
    kernels::active().norm.normalise(y.data() + range.begin, x.value().data() + range.begin,
                                     saved.mean.data(), saved.scale.data(), offset.data(),
                                     range.size(), layout.width());
  });
  return Variable::from_op("batch_norm", std::move(y), {x, gamma, beta},
                           [saved = std::move(saved)](Tensor dy) { return gradients(saved, dy); });
}

}  // namespace perch
