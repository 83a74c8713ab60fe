#include <array>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv_winograd.h>

namespace perch::conv {
namespace {

constexpr std::int64_t points = winograd_points;
// Fewer channels, and the transforms cost more than they save.
constexpr std::int64_t least_channels = 16;
// Tiles at once: enough for the products' blocks, few enough that all points stay in the second
// cache.
constexpr std::int64_t tiles = 32;

// A cache line between the points: at a power of two all would share a few cache sets.
std::int64_t point_step(std::int64_t channels) {
  return tiles * channels + 16;
}

/// One row of G g, or of g G^T.
std::array<float, 4> filter_points(float a, float b, float c) {
  return {a, 0.5f * (a + b + c), 0.5f * (a - b + c), c};
}

/// A window that is one pixel: the products at one point.
kernels::WindowWalk point_walk(std::int64_t count, std::int64_t in, std::int64_t out) {
  kernels::WindowWalk walk{};
  walk.images = walk.rows = walk.tap_rows = walk.tap_cols = 1;
  walk.cols = count;
  walk.in_col = walk.run = in;
  walk.out_col = out;
  return walk;
}

/// body(image, first tile, count) for a unit's tiles.
template <class Body>
void for_tiles(const Job& job, const Unit& unit, const Body& body) {
  const std::int64_t all = whole_tiles(unit.rows.size()) / 2 * (whole_tiles(job.cols.count) / 2);
  for (std::int64_t image = 0; image < unit.images.size(); ++image) {
    for (std::int64_t first = 0; first < all; first += tiles) {
      body(image, first, std::min(tiles, all - first));
    }
  }
}

kernels::TileWalk tile_walk(const Job& job, std::int64_t first, std::int64_t count,
                            std::int64_t row, std::int64_t col, std::int64_t channels) {
  return {first, count, whole_tiles(job.cols.count) / 2, row, col, channels, point_step(channels)};
}

}  // namespace

bool suits_winograd(const Job& job) {
  const auto suits = [](const AxisWalk& axis) {
    return axis.taps == 3 && axis.src_step == 1 && axis.dst_step == 1 && axis.tap_step == 1;
  };
  const std::int64_t lanes = kernels::active().conv.lanes;
  const auto enough = [&](std::int64_t channels) {
    return channels >= least_channels && channels % lanes == 0;
  };
  return suits(job.rows) && suits(job.cols) && job.groups == 1 && enough(job.src.channels) &&
         enough(job.dst.channels);
}

Tensor winograd_weights(const Job& job, const Tensor& kernel, const KernelLayout& layout) {
  const std::int64_t sources = job.src.channels, filters = job.dst.channels;
  const std::int64_t block = kernels::active().conv.filter_block * kernels::active().conv.lanes;
  Tensor weights({points, sources * filters});
  for (std::int64_t c = 0; c < sources; ++c) {
    for (std::int64_t f = 0; f < filters; ++f) {
      std::array<std::array<float, 4>, 3> rows;
      for (std::size_t i = 0; i < 3; ++i) {
        const auto tap = [&](std::int64_t j) {
          const std::int64_t row =
              job.rows.kernel_first + static_cast<std::int64_t>(i) * job.rows.kernel_step;
          const std::int64_t col = job.cols.kernel_first + j * job.cols.kernel_step;
          return kernel
              .data()[(row * layout.width + col) * layout.tap + c * layout.src + f * layout.dst];
        };
        rows[i] = filter_points(tap(0), tap(1), tap(2));
      }
      // Blocks of filters, the last one narrower, each [sources][width].
      const std::int64_t first = f / block * block, width = std::min(block, filters - first);
      float* const to = weights.data() + first * sources + c * width + f - first;
      for (std::size_t j = 0; j < 4; ++j) {
        const std::array<float, 4> column = filter_points(rows[0][j], rows[1][j], rows[2][j]);
        for (std::size_t i = 0; i < 4; ++i) {
          to[static_cast<std::int64_t>(4 * i + j) * sources * filters] = column[i];
        }
      }
    }
  }
  return weights;
}

std::int64_t winograd_floats(const Job& job) {
  return points * (point_step(job.src.channels) + point_step(job.dst.channels));
}

void multiply_winograd(const Job& job, const Unit& unit, const Band<float>& band,
                       const Tensor& weights, const float* bias, float* scratch, float* out) {
  const auto& table = kernels::active().conv;
  const std::int64_t sources = job.src.channels, filters = job.dst.channels;
  float* const products = scratch + points * point_step(sources);
  for_tiles(job, unit, [&](std::int64_t image, std::int64_t first, std::int64_t count) {
    table.winograd_source(tile_walk(job, first, count, band.row, band.col, sources),
                          band.data + image * band.image, scratch);
    for (std::int64_t point = 0; point < points; ++point) {
      kernels::WindowProduct task{};
      task.walk = point_walk(count, sources, filters);
      task.input = scratch + point * point_step(sources);
      task.weights = weights.data() + point * sources * filters;
      task.output = products + point * point_step(filters);
      task.filters = filters;
      table.forward(task);
    }
    table.winograd_result(tile_walk(job, first, count, job.dst.row(), job.dst.channels, filters),
                          products, bias, unit.rows.size(), job.cols.count,
                          out + image * job.dst.image());
  });
}

void gather_winograd(const Job& job, const Unit& unit, const Band<float>& x, const Band<float>& dy,
                     float* scratch, float* sums) {
  const auto& table = kernels::active().conv;
  const std::int64_t sources = job.src.channels, filters = job.dst.channels;
  float* const gradients = scratch + points * point_step(sources);
  for_tiles(job, unit, [&](std::int64_t image, std::int64_t first, std::int64_t count) {
    table.winograd_source(tile_walk(job, first, count, x.row, x.col, sources),
                          x.data + image * x.image, scratch);
    table.winograd_gradient(tile_walk(job, first, count, dy.row, dy.col, filters),
                            dy.data + image * dy.image, gradients);
    for (std::int64_t point = 0; point < points; ++point) {
      kernels::WindowGradient task{};
      task.walk = point_walk(count, sources, filters);
      task.input = scratch + point * point_step(sources);
      task.gradient = gradients + point * point_step(filters);
      task.sums = sums + point * sources * filters;
      task.filters = filters;
      table.weight_gradient(task);
    }
  });
}

Tensor winograd_kernel_gradient(const Job& job, const float* sums) {
  const std::int64_t count = job.src.channels * job.dst.channels;
  Tensor result({9 * count});
  // G^T s G: G's columns are (1, 1/2, 1/2, 0), (0, 1/2, -1/2, 0), (0, 1/2, 1/2, 1).
  const auto fold = [](float a, float b, float c, float d) {
    return std::array<float, 3>{a + 0.5f * (b + c), 0.5f * (b - c), 0.5f * (b + c) + d};
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = [&](std::int64_t point) { return sums[point * count + i]; };
    std::array<std::array<float, 3>, 4> rows;
    for (std::size_t r = 0; r < 4; ++r) {
      const auto first = static_cast<std::int64_t>(4 * r);
      rows[r] = fold(at(first), at(first + 1), at(first + 2), at(first + 3));
    }
    for (std::size_t col = 0; col < 3; ++col) {
      const auto column = fold(rows[0][col], rows[1][col], rows[2][col], rows[3][col]);
      for (std::size_t row = 0; row < 3; ++row) {
        result.data()[static_cast<std::int64_t>(3 * row + col) * count + i] = column[row];
      }
    }
  }
  return result;
}

}  // namespace perch::conv
