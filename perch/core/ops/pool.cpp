#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/ops/pool.h>
#include <perch/core/parallel.h>

namespace perch {
namespace {

kernels::PoolGeometry kernel_geometry(const WindowGeometry& g) {
  return {.in_height = g.in_height,
          .in_width = g.in_width,
          .channels = g.channels,
          .out_height = g.out_height,
          .out_width = g.out_width,
          .window_height = g.kernel_height,
          .window_width = g.kernel_width,
          .stride_height = g.stride_height,
          .stride_width = g.stride_width,
          .pad_top = g.pad_top,
          .pad_left = g.pad_left};
}

// Elements of one image before and after pooling.
struct ImageSizes {
  explicit ImageSizes(const WindowGeometry& g)
      : in(g.in_height * g.in_width * g.channels), out(g.out_height * g.out_width * g.channels) {}
  std::int64_t in, out;
};

Shape input_shape(const WindowGeometry& g) {
  return {g.batch, g.in_height, g.in_width, g.channels};
}

Shape output_shape(const WindowGeometry& g) {
  return {g.batch, g.out_height, g.out_width, g.channels};
}

Variable average(const char* op, const Variable& x, const WindowGeometry& window) {
  const kernels::PoolGeometry g = kernel_geometry(window);
  const ImageSizes size(window);
  Tensor y(output_shape(window));
  parallel_for(window.batch, [&](std::int64_t i) {
    kernels::active().pool.average(y.data() + i * size.out, x.value().data() + i * size.in, g);
  });
  return Variable::from_op(op, std::move(y), {x},
                           [window, g, size](Tensor dy) -> std::vector<Tensor> {
                             Tensor dx(input_shape(window));
                             parallel_for(window.batch, [&](std::int64_t i) {
                               kernels::active().pool.average_gradient(dx.data() + i * size.in,
                                                                       dy.data() + i * size.out, g);
                             });
                             return {std::move(dx)};
                           });
}

}  // namespace

Variable max_pool2d(const Variable& x, const Pool2DOptions& options) {
  const WindowGeometry window =
      WindowGeometry::of("max_pool2d", x.shape(), options.size, options.stride, options.padding);
  const kernels::PoolGeometry g = kernel_geometry(window);
  const ImageSizes size(window);
  Tensor y(output_shape(window));
  parallel_for(window.batch, [&](std::int64_t i) {
    kernels::active().pool.max(y.data() + i * size.out, x.value().data() + i * size.in, g);
  });
  const auto gradient = [window, g, size, y, saved = x.value()](Tensor dy) -> std::vector<Tensor> {
    Tensor dx(input_shape(window));
    parallel_for(window.batch, [&](std::int64_t i) {
      kernels::active().pool.max_gradient(dx.data() + i * size.in, dy.data() + i * size.out,
                                          saved.data() + i * size.in, y.data() + i * size.out, g);
    });
    return {std::move(dx)};
  };
  return Variable::from_op("max_pool2d", y, {x}, gradient);
}

Variable average_pool2d(const Variable& x, const Pool2DOptions& options) {
  return average("average_pool2d", x,
                 WindowGeometry::of("average_pool2d", x.shape(), options.size, options.stride,
                                    options.padding));
}

Variable global_average_pool2d(const Variable& x) {
  const char* const op = "global_average_pool2d";
  PERCH_CHECK(x.shape().rank() == 4, "{}: x of shape {} should be [N, H, W, C]", op,
              x.shape().to_string());
  const Size2D image(x.shape()[1], x.shape()[2]);
  return flatten(average(op, x, WindowGeometry::of(op, x.shape(), image, image, Padding::valid)));
}

Variable zero_pad2d(const Variable& x, const Pad2D& padding) {
  PERCH_CHECK(x.shape().rank() == 4, "zero_pad2d: x of shape {} should be [N, H, W, C]",
              x.shape().to_string());
  PERCH_CHECK(std::min({padding.top, padding.bottom, padding.left, padding.right}) >= 0,
              "zero_pad2d: padding {}, {}, {}, {} (top, bottom, left, right) has a negative number",
              padding.top, padding.bottom, padding.left, padding.right);
  const Shape from = x.shape();
  const std::int64_t height = from[1] + padding.top + padding.bottom;
  const std::int64_t row = from[2] * from[3],
                     wide_row = row + (padding.left + padding.right) * from[3];
  // Where a row of an image starts, in the padded tensor.
  const auto placed = [=](std::int64_t image, std::int64_t i) {
    return (image * height + padding.top + i) * wide_row + padding.left * from[3];
  };
  Tensor y = Tensor::zeros({from[0], height, from[2] + padding.left + padding.right, from[3]});
  parallel_for(from[0], [&](std::int64_t image) {
    for (std::int64_t i = 0; i < from[1]; ++i) {
      std::copy_n(x.value().data() + (image * from[1] + i) * row, row, y.data() + placed(image, i));
    }
  });
  return Variable::from_op(
      "zero_pad2d", std::move(y), {x}, [from, row, placed](Tensor dy) -> std::vector<Tensor> {
        Tensor dx(from);
        parallel_for(from[0], [&](std::int64_t image) {
          for (std::int64_t i = 0; i < from[1]; ++i) {
            std::copy_n(dy.data() + placed(image, i), row, dx.data() + (image * from[1] + i) * row);
          }
        });
        return {std::move(dx)};
      });
}

}  // namespace perch
