#include "tests/support/reference_conv.h"

namespace perch::test {
namespace {

/// Calls visit(x index, kernel index, y index) for every product that a convolution adds up.
template <class Visit>
void for_each_product(const ReferenceConv& conv, const Visit& visit) {
  const WindowGeometry& g = conv.geometry;
  const std::int64_t per_group = conv.filters / conv.groups;
  const std::int64_t inner = g.channels / conv.groups;
  const std::int64_t multiplier = conv.filters / g.channels;
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t oy = 0; oy < g.out_height; ++oy)
      for (std::int64_t ox = 0; ox < g.out_width; ++ox)
        for (std::int64_t ky = 0; ky < g.kernel_height; ++ky)
          for (std::int64_t kx = 0; kx < g.kernel_width; ++kx) {
            const std::int64_t iy = oy * g.stride_height - g.pad_top + ky * g.dilation_height;
            const std::int64_t ix = ox * g.stride_width - g.pad_left + kx * g.dilation_width;
            if (iy < 0 || iy >= g.in_height || ix < 0 || ix >= g.in_width) continue;
            const std::int64_t pixel = ((n * g.in_height + iy) * g.in_width + ix) * g.channels;
            const std::int64_t tap = ky * g.kernel_width + kx;
            const std::int64_t y = ((n * g.out_height + oy) * g.out_width + ox) * conv.filters;
            for (std::int64_t f = 0; f < conv.filters; ++f) {
              if (conv.depthwise) {
                visit(pixel + f / multiplier, tap * conv.filters + f, y + f);
                continue;
              }
              for (std::int64_t c = 0; c < inner; ++c) {
                visit(pixel + f / per_group * inner + c, (tap * inner + c) * conv.filters + f,
                      y + f);
              }
            }
          }
}

template <class Visit>
void for_each_product(const ReferenceDense& dense, const Visit& visit) {
  for (std::int64_t n = 0; n < dense.images; ++n)
    for (std::int64_t k = 0; k < dense.inputs; ++k)
      for (std::int64_t f = 0; f < dense.outputs; ++f)
        visit(n * dense.inputs + k, k * dense.outputs + f, n * dense.outputs + f);
}

Doubles start(std::size_t size, const Doubles& bias) {
  Doubles y(size, 0.0);
  for (std::size_t i = 0; i < size && !bias.empty(); ++i) y[i] = bias[i % bias.size()];
  return y;
}

template <class Op>
Doubles forward_of(const Op& op, const Doubles& x, const Doubles& kernel, Doubles y) {
  for_each_product(op, [&](std::int64_t i, std::int64_t k, std::int64_t o) {
    y[static_cast<std::size_t>(o)] +=
        x[static_cast<std::size_t>(i)] * kernel[static_cast<std::size_t>(k)];
  });
  return y;
}

template <class Op>
ConvGradients gradients_of(const Op& op, std::int64_t filters, const Doubles& x,
                           const Doubles& kernel, const Doubles& dy) {
  ConvGradients result{Doubles(x.size()), Doubles(kernel.size()),
                       Doubles(static_cast<std::size_t>(filters))};
  for_each_product(op, [&](std::int64_t input, std::int64_t weight, std::int64_t output) {
    const auto i = static_cast<std::size_t>(input), k = static_cast<std::size_t>(weight),
               o = static_cast<std::size_t>(output);
    result.x[i] += kernel[k] * dy[o];
    result.kernel[k] += x[i] * dy[o];
  });
  for (std::size_t i = 0; i < dy.size(); ++i) result.bias[i % result.bias.size()] += dy[i];
  return result;
}

}  // namespace

Doubles ReferenceConv::forward(const Doubles& x, const Doubles& kernel, const Doubles& bias) const {
  const WindowGeometry& g = geometry;
  const std::int64_t size = g.batch * g.out_height * g.out_width * filters;
  return forward_of(*this, x, kernel, start(static_cast<std::size_t>(size), bias));
}

ConvGradients ReferenceConv::gradients(const Doubles& x, const Doubles& kernel,
                                       const Doubles& dy) const {
  return gradients_of(*this, filters, x, kernel, dy);
}

Doubles ReferenceDense::forward(const Doubles& x, const Doubles& kernel,
                                const Doubles& bias) const {
  return forward_of(*this, x, kernel, start(static_cast<std::size_t>(images * outputs), bias));
}

ConvGradients ReferenceDense::gradients(const Doubles& x, const Doubles& kernel,
                                        const Doubles& dy) const {
  return gradients_of(*this, outputs, x, kernel, dy);
}

}  // namespace perch::test
