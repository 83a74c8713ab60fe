#include <algorithm>
#include <cstring>
#include <numeric>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv_walk.h>
#include <perch/core/parallel.h>

namespace perch::conv {
namespace {

// A unit of work: some rows of one image, or some whole images. Its padded source should stay in
// the first cache; below the least number of positions, reading the weights would dominate.
constexpr std::int64_t unit_source_floats = 8192;
constexpr std::int64_t unit_least_positions = 64;
// Partial sums of weight gradients: enough chunks for many threads, few enough for memory.
constexpr std::int64_t partial_floats = std::int64_t{1} << 21;
constexpr std::int64_t least_partials = 4;
constexpr std::int64_t most_partials = 64;

std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

std::int64_t source_extent(const AxisWalk& axis, std::int64_t count) {
  return axis.taps == 0 ? 0 : (count - 1) * axis.src_step + (axis.taps - 1) * axis.tap_step + 1;
}

struct Unit {
  ChunkRange images, rows;
};

class Units {
 public:
  explicit Units(const Job& job)
      : images_(job.batch, 1), rows_(job.rows.count, rows_per_unit(job)) {
    if (rows_.number() == 1) {
      const std::int64_t positions = job.rows.count * job.cols.count;
      images_ = Chunks(job.batch, (unit_least_positions + positions - 1) / positions);
    }
  }
  std::int64_t number() const { return images_.number() * rows_.number(); }
  Unit operator[](std::int64_t i) const {
    return {images_[i / rows_.number()], rows_[i % rows_.number()]};
  }

 private:
  static std::int64_t rows_per_unit(const Job& job) {
    const std::int64_t row_floats =
        source_extent(job.cols, job.cols.count) * job.src_channels * job.rows.src_step;
    return std::max(unit_source_floats / std::max<std::int64_t>(row_floats, 1),
                    (unit_least_positions + job.cols.count - 1) / job.cols.count);
  }

  Chunks images_, rows_;
};

/// Part of a [images, height, width, channels] array; channel stride 1.
struct Band {
  const float* data;
  std::int64_t image, row, col;
};

/// What to cut out: it may reach beyond the array, where there are zeros.
struct BandShape {
  ChunkRange images, rows, cols, channels;
  std::int64_t repeat;           ///< copies of each channel, side by side
  std::int64_t channels_padded;  ///< after repeating
  std::int64_t floats() const {
    return images.size() * rows.size() * cols.size() * channels_padded;
  }
};

struct Extents {
  std::int64_t height, width, channels;
};

bool is_plain(const BandShape& shape, const Extents& extents) {
  return shape.rows.begin >= 0 && shape.rows.end <= extents.height && shape.cols.begin >= 0 &&
         shape.cols.end <= extents.width && shape.repeat == 1 &&
         shape.channels_padded == shape.channels.size();
}

void copy_pixels(const float* from, std::int64_t count, const BandShape& shape,
                 const Extents& extents, float* to) {
  const std::int64_t channels = shape.channels.size();
  if (channels == extents.channels && shape.channels_padded == channels) {
    std::memcpy(to, from, static_cast<std::size_t>(count * channels) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i < count; ++i, from += extents.channels, to += shape.channels_padded) {
    const float* const pixel = from + shape.channels.begin;
    for (std::int64_t c = 0; c < channels; ++c) {
      std::fill_n(to + c * shape.repeat, shape.repeat, pixel[c]);
    }
    std::fill(to + channels * shape.repeat, to + shape.channels_padded, 0.0f);
  }
}

/// The array itself where it can be read in place, else a copy in scratch.
Band read_band(const float* array, const Extents& extents, const BandShape& shape, float* scratch) {
  const std::int64_t row_floats = extents.width * extents.channels;
  if (is_plain(shape, extents)) {
    return {array + (shape.images.begin * extents.height + shape.rows.begin) * row_floats +
                shape.cols.begin * extents.channels + shape.channels.begin,
            extents.height * row_floats, row_floats, extents.channels};
  }
  const std::int64_t line = shape.cols.size() * shape.channels_padded;
  const std::int64_t first = std::clamp<std::int64_t>(-shape.cols.begin, 0, shape.cols.size());
  const std::int64_t last =
      std::clamp<std::int64_t>(extents.width - shape.cols.begin, first, shape.cols.size());
  float* to = scratch;
  for (std::int64_t n = shape.images.begin; n < shape.images.end; ++n) {
    for (std::int64_t row = shape.rows.begin; row < shape.rows.end; ++row, to += line) {
      if (row < 0 || row >= extents.height || first == last) {
        std::fill_n(to, line, 0.0f);
        continue;
      }
      const float* const from = array + (n * extents.height + row) * row_floats;
      std::fill_n(to, first * shape.channels_padded, 0.0f);
      copy_pixels(from + (shape.cols.begin + first) * extents.channels, last - first, shape,
                  extents, to + first * shape.channels_padded);
      std::fill(to + last * shape.channels_padded, to + line, 0.0f);
    }
  }
  return {scratch, shape.rows.size() * line, line, shape.channels_padded};
}

BandShape source_band(const Job& job, const Unit& unit, std::int64_t lanes) {
  const auto axis = [](const AxisWalk& walk, std::int64_t begin, std::int64_t end) -> ChunkRange {
    const std::int64_t first = begin * walk.src_step + walk.src_first;
    return {first, first + source_extent(walk, end - begin)};
  };
  const std::int64_t channels = job.src_channels * job.repeat;
  return {.images = unit.images,
          .rows = axis(job.rows, unit.rows.begin, unit.rows.end),
          .cols = axis(job.cols, 0, job.cols.count),
          .channels = {0, job.src_channels},
          .repeat = job.repeat,
          .channels_padded = job.depthwise() ? round_up(channels, lanes) : channels};
}

kernels::WindowWalk window_walk(const Job& job, const Unit& unit, const Band& source) {
  kernels::WindowWalk walk{};
  walk.images = unit.images.size();
  walk.rows = unit.rows.size();
  walk.cols = job.cols.count;
  walk.in_image = source.image;
  walk.in_row = job.rows.src_step * source.row;
  walk.in_col = job.cols.src_step * source.col;
  walk.tap_rows = job.rows.taps;
  walk.tap_cols = job.cols.taps;
  walk.run = job.src_group();
  walk.in_tap_row = job.rows.tap_step * source.row;
  walk.in_tap_col = job.cols.tap_step * source.col;
  if (job.groups == 1 && job.cols.tap_step == 1) {  // a row of taps is one run
    walk.run *= walk.tap_cols;
    walk.tap_cols = 1;
  }
  return walk;
}

/// Scratch for each thread, taken once: what a step allocates must not depend on who runs it.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats)
      : floats_(round_up(floats, 16)), all_(Shape{thread_count() * floats_}) {}
  float* mine() { return all_.data() + worker_slot() * floats_; }

 private:
  std::int64_t floats_;
  Tensor all_;
};

}  // namespace

AxisWalk forward_walk(const AxisWindow& window) {
  return {.count = window.out,
          .dst_step = 1,
          .dst_first = 0,
          .src_step = window.stride,
          .src_first = -window.pad,
          .taps = window.kernel,
          .tap_step = window.dilation,
          .kernel_first = 0,
          .kernel_step = 1};
}

AxisWalk gradient_walk(const AxisWindow& window, std::int64_t phase) {
  // Input i takes part in output (i + pad - k dilation) / stride for the k that make it whole.
  const std::int64_t common = std::gcd(window.dilation, window.stride);
  const std::int64_t every = window.stride / common;
  const std::int64_t position = phase + window.pad;
  std::int64_t k = 0;
  while (k < std::min(every, window.kernel) &&
         (position - k * window.dilation) % window.stride != 0) {
    ++k;
  }
  const bool none = k >= std::min(every, window.kernel);
  const std::int64_t taps = none ? 0 : (window.kernel - 1 - k) / every + 1;
  const std::int64_t last = k + (taps - 1) * every;
  return {.count = (window.in - phase + window.stride - 1) / window.stride,
          .dst_step = window.stride,
          .dst_first = phase,
          .src_step = 1,
          .src_first = none ? 0 : (position - last * window.dilation) / window.stride,
          .taps = taps,
          .tap_step = window.dilation / common,
          .kernel_first = last,
          .kernel_step = -every};
}

Tensor pack_kernel(const Job& job, const Tensor& kernel, const KernelLayout& layout) {
  const auto& table = kernels::active().conv;
  const std::int64_t groups = std::max<std::int64_t>(job.groups, 1);
  const std::int64_t filters = job.dst_group();
  const std::int64_t padded = round_up(filters, table.lanes);
  const std::int64_t block = job.depthwise() ? padded : table.filter_block * table.lanes;
  const std::int64_t terms = job.rows.taps * job.cols.taps * job.src_group();
  Tensor packed(Shape{groups * terms * padded});
  float* to = packed.data();
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t first = 0; first < padded; first += block) {
      const std::int64_t width = std::min(block, padded - first);
      const std::int64_t valid = std::min(width, filters - first);
      for (std::int64_t i = 0; i < job.rows.taps; ++i) {
        for (std::int64_t j = 0; j < job.cols.taps; ++j) {
          const std::int64_t tap =
              (job.rows.kernel_first + i * job.rows.kernel_step) * layout.width +
              job.cols.kernel_first + j * job.cols.kernel_step;
          for (std::int64_t c = 0; c < job.src_group(); ++c, to += width) {
            const float* const from = kernel.data() + tap * layout.tap + c * layout.src +
                                      first * layout.dst + g * layout.group;
            for (std::int64_t f = 0; f < valid; ++f) to[f] = from[f * layout.dst];
            std::fill(to + valid, to + width, 0.0f);
          }
        }
      }
    }
  }
  return packed;
}

void product(const Job& job, const Tensor& source, const Tensor& packed, const Tensor& bias,
             Tensor& destination) {
  const auto& table = kernels::active().conv;
  const Units units(job);
  if (units.number() == 0) return;
  const std::int64_t groups = std::max<std::int64_t>(job.groups, 1);
  const std::int64_t filters = job.dst_group();
  const std::int64_t padded = round_up(filters, table.lanes);
  Tensor padded_bias;
  if (!bias.empty()) {
    padded_bias = Tensor::zeros(Shape{groups * padded});
    for (std::int64_t g = 0; g < groups; ++g) {
      std::copy_n(bias.data() + g * filters, filters, padded_bias.data() + g * padded);
    }
  }
  const Extents extents{job.src_height, job.src_width, job.src_channels};
  const std::int64_t out_row = job.dst_width * job.dst_channels;
  Scratch scratch(source_band(job, units[0], table.lanes).floats());
  parallel_for(units.number(), [&](std::int64_t i) {
    const Unit unit = units[i];
    const Band band =
        read_band(source.data(), extents, source_band(job, unit, table.lanes), scratch.mine());
    kernels::WindowProduct task{};
    task.walk = window_walk(job, unit, band);
    task.walk.out_image = job.dst_height * out_row;
    task.walk.out_row = job.rows.dst_step * out_row;
    task.walk.out_col = job.cols.dst_step * job.dst_channels;
    task.filters = filters;
    float* const output = destination.data() + unit.images.begin * task.walk.out_image +
                          (unit.rows.begin * job.rows.dst_step + job.rows.dst_first) * out_row +
                          job.cols.dst_first * job.dst_channels;
    for (std::int64_t g = 0; g < groups; ++g) {
      task.input = band.data + g * job.src_group();
      task.weights = packed.data() + g * (packed.size() / groups);
      task.bias = padded_bias.empty() ? nullptr : padded_bias.data() + g * padded;
      task.output = output + g * filters;
      (job.depthwise() ? table.depthwise_forward : table.forward)(task);
    }
  });
}

namespace {

/// Adds the chunks' sums [chunks][groups][rows][padded] up in their order: [rows][groups *
/// filters].
Tensor add_partials(const Tensor& partials, std::int64_t first_row, std::int64_t rows,
                    const Job& job, std::int64_t padded) {
  const std::int64_t groups = std::max<std::int64_t>(job.groups, 1);
  const std::int64_t filters = job.dst_group();
  const std::int64_t chunks = partials.shape()[0];
  const std::int64_t rows_stored = partials.shape()[1];
  const std::int64_t group_floats = rows_stored * padded;
  Tensor result(Shape{rows * groups * filters});
  constexpr std::int64_t rows_per_chunk = 64;
  const Chunks parts(rows, rows_per_chunk);
  parallel_for(parts.number(), [&](std::int64_t i) {
    for (std::int64_t row = parts[i].begin; row < parts[i].end; ++row) {
      for (std::int64_t g = 0; g < groups; ++g) {
        float* const to = result.data() + (row * groups + g) * filters;
        const float* from = partials.data() + g * group_floats + (first_row + row) * padded;
        std::copy_n(from, filters, to);
        for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
          from += groups * group_floats;
          for (std::int64_t f = 0; f < filters; ++f) to[f] += from[f];
        }
      }
    }
  });
  return result;
}

}  // namespace

WeightGradients weight_gradients(const Job& job, const Tensor& source, const Tensor& gradient,
                                 bool want_kernel, bool want_bias) {
  const auto& table = kernels::active().conv;
  const Units units(job);
  const std::int64_t groups = std::max<std::int64_t>(job.groups, 1);
  const std::int64_t filters = job.dst_group();
  const std::int64_t padded = round_up(filters, table.lanes);
  const std::int64_t terms = job.rows.taps * job.cols.taps * job.src_group();
  // One more row for the bias.
  const std::int64_t group_floats = (terms + 1) * padded;
  const std::int64_t most =
      std::clamp(partial_floats / (groups * group_floats), least_partials, most_partials);
  const Chunks chunks(units.number(), (units.number() + most - 1) / most);
  Tensor partials =
      Tensor::zeros(Shape{std::max<std::int64_t>(chunks.number(), 1), terms + 1, groups * padded});

  const Extents extents{job.src_height, job.src_width, job.src_channels};
  const Extents out{job.dst_height, job.dst_width, job.dst_channels};
  const auto gradient_band = [&](const Unit& unit, std::int64_t group) -> BandShape {
    return {.images = unit.images,
            .rows = unit.rows,
            .cols = {0, job.cols.count},
            .channels = {group * filters, (group + 1) * filters},
            .repeat = 1,
            .channels_padded = padded};
  };
  if (units.number() > 0) {
    const std::int64_t source_floats =
        round_up(source_band(job, units[0], table.lanes).floats(), 16);
    Scratch scratch(source_floats + gradient_band(units[0], 0).floats());
    parallel_for(chunks.number(), [&](std::int64_t chunk) {
      for (std::int64_t i = chunks[chunk].begin; i < chunks[chunk].end; ++i) {
        const Unit unit = units[i];
        float* const mine = scratch.mine();
        const Band band = want_kernel ? read_band(source.data(), extents,
                                                  source_band(job, unit, table.lanes), mine)
                                      : Band{};
        for (std::int64_t g = 0; g < groups; ++g) {
          const Band dy =
              read_band(gradient.data(), out, gradient_band(unit, g), mine + source_floats);
          kernels::WindowGradient task{};
          task.walk = window_walk(job, unit, band);
          task.walk.out_image = dy.image;
          task.walk.out_row = dy.row;
          task.walk.out_col = dy.col;
          task.gradient = dy.data;
          task.filters = padded;
          task.sums = partials.data() + (chunk * groups + g) * group_floats;
          if (want_kernel) {
            task.input = band.data + g * job.src_group();
            (job.depthwise() ? table.depthwise_weight_gradient : table.weight_gradient)(task);
          }
          task.sums += terms * padded;
          if (want_bias) table.column_sums(task);
        }
      }
    });
  }
  return {.kernel = want_kernel ? add_partials(partials, 0, terms, job, padded) : Tensor(),
          .bias = want_bias ? add_partials(partials, terms, 1, job, padded) : Tensor()};
}

}  // namespace perch::conv
