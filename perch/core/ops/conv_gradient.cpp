#include <algorithm>
#include <vector>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv_gradient.h>
#include <perch/core/ops/conv_product.h>
#include <perch/core/ops/conv_winograd.h>
#include <perch/core/parallel.h>

namespace perch::conv {
namespace {

// A unit's parts of input and gradient should stay in the second cache.
constexpr std::int64_t unit_elements = 16384;
// Partial sums of weight gradients: enough chunks for many threads, few enough for memory.
constexpr std::int64_t partial_floats = std::int64_t{1} << 20;
constexpr std::int64_t least_partials = 4;
constexpr std::int64_t most_partials = 64;

/// The inputs of one phase, stride apart: which of them belong to a unit, and how they are made.
struct Phase {
  Job job;
  FloatKernel kernel;

  /// Destination rows of the job that are rows [begin, end) of the input.
  ChunkRange rows(ChunkRange input) const {
    const auto first = [&](std::int64_t row) {
      const std::int64_t steps =
          (row - job.rows.dst_first + job.rows.dst_step - 1) / job.rows.dst_step;
      return std::clamp<std::int64_t>(steps, 0, job.rows.count);
    };
    return {first(input.begin), first(input.end)};
  }
};

std::vector<Phase> make_phases(const Problem& problem, const Tensor& kernel) {
  const WindowGeometry& g = problem.geometry;
  std::vector<Phase> phases;
  for (std::int64_t row = 0; row < std::min(g.stride_height, g.in_height); ++row) {
    for (std::int64_t col = 0; col < std::min(g.stride_width, g.in_width); ++col) {
      const Job job = problem.input_gradient(row, col);
      phases.push_back({job, FloatKernel(job, kernel, problem.kernel_layout(true))});
    }
  }
  return phases;
}

/// Everything about the walk that no unit changes.
class Walk {
 public:
  Walk(const Problem& problem, const Tensor& kernel, const Wanted& wanted)
      : problem_(problem),
        wanted_(wanted),
        job_(problem.forward()),
        units_(job_, unit_elements),
        lanes_(kernels::active().conv.lanes),
        filters_(job_.dst_group()),
        padded_(round_up(filters_, lanes_)),
        winograd_(gathers_in_tiles()),
        chunks_(units_.number(), (units_.number() + partials() - 1) / partials()) {
    if (wanted.input) phases_ = make_phases(problem, kernel);
  }

  Gradients run(const Source<float>& x, const Source<float>& dy);

 private:
  /// Rows of partial sums for the kernel; one more is the bias's.
  std::int64_t kernel_rows() const {
    return winograd_ ? winograd_points * job_.src.channels : job_.terms();
  }
  std::int64_t group_floats() const { return (kernel_rows() + 1) * padded_; }
  // Units of whole tiles, or whole images: behind those are zeros.
  bool gathers_in_tiles() const {
    return suits_winograd(job_) && units_.number() > 0 &&
           (units_[0].rows.size() % 2 == 0 || units_[0].rows.size() == job_.rows.count);
  }
  std::int64_t partials() const {
    return std::clamp(partial_floats / (job_.group_count() * group_floats()), least_partials,
                      most_partials);
  }

  /// The input rows that a unit computes: all belong to exactly one.
  ChunkRange input_rows(const Unit& unit) const {
    const std::int64_t stride = problem_.geometry.stride_height;
    const bool last = unit.rows.end == job_.rows.count;
    return {std::min(unit.rows.begin * stride, job_.src.height),
            last ? job_.src.height : std::min(unit.rows.end * stride, job_.src.height)};
  }
  BandShape gradient_band(const Unit& unit) const;
  void spread(const Unit& unit, const Band<float>& dy, const BandShape& shape, float* work,
              Tensor& dx) const;
  void gather(const Unit& unit, const Band<float>& x, const Band<float>& dy, float* work,
              float* sums) const;
  std::int64_t work() const;
  Tensor add_up(const Tensor& partial, std::int64_t first_row, std::int64_t rows) const;

  const Problem& problem_;
  Wanted wanted_;
  Job job_;
  Units units_;
  std::int64_t lanes_, filters_, padded_;
  bool winograd_;  // of the kernel's gradient
  Chunks chunks_;
  std::vector<Phase> phases_;
};

// The unit's own outputs, and those around them that its inputs take part in.
BandShape Walk::gradient_band(const Unit& unit) const {
  ChunkRange rows = unit.rows, cols{0, job_.cols.count};
  if (winograd_) {
    rows = with_whole_tiles(job_, rows);
    cols = with_whole_tiles(job_, cols);
  }
  const auto widen = [](ChunkRange& range, ChunkRange more) {
    range = {std::min(range.begin, more.begin), std::max(range.end, more.end)};
  };
  for (const Phase& phase : phases_) {
    const ChunkRange part = phase.rows(input_rows(unit));
    if (part.size() <= 0 || phase.job.rows.taps == 0 || phase.job.cols.taps == 0) continue;
    widen(rows, phase.job.rows.source(with_whole_tiles(phase.job, part)));
    widen(cols, phase.job.cols.source(with_whole_tiles(phase.job, {0, phase.job.cols.count})));
  }
  const bool depthwise = job_.depthwise();
  return {.images = unit.images,
          .rows = rows,
          .cols = cols,
          .channels = job_.dst.channels,
          .repeat = 1,
          .channels_padded = depthwise ? padded_ : job_.dst.channels,
          .overread = depthwise || filters_ == padded_ ? 0 : lanes_};
}

// From the gradients of outputs to those of inputs.
void Walk::spread(const Unit& unit, const Band<float>& dy, const BandShape& shape, float* work,
                  Tensor& dx) const {
  for (const Phase& phase : phases_) {
    const Unit part{unit.images, phase.rows(input_rows(unit))};
    if (part.rows.size() <= 0) continue;
    const Job& job = phase.job;
    const ChunkRange rows = job.rows.source(part.rows);
    const ChunkRange cols = job.cols.source({0, job.cols.count});
    Band<float> band = dy;
    if (job.rows.taps > 0 && job.cols.taps > 0) {
      band.data +=
          (rows.begin - shape.rows.begin) * dy.row + (cols.begin - shape.cols.begin) * dy.col;
    }
    multiply_unit(job, part, band, phase.kernel, work,
                  dx.data() + part.images.begin * job.dst.image() +
                      (part.rows.begin * job.rows.dst_step + job.rows.dst_first) * job.dst.row() +
                      job.cols.dst_first * job.dst.channels);
  }
}

// Adds to the sums for kernel and bias.
void Walk::gather(const Unit& unit, const Band<float>& x, const Band<float>& dy, float* work,
                  float* sums) const {
  const auto& table = kernels::active().conv;
  if (winograd_ && wanted_.kernel) gather_winograd(job_, unit, x, dy, work, sums);
  for (std::int64_t g = 0; g < job_.group_count(); ++g, sums += group_floats()) {
    kernels::WindowGradient task{};
    task.walk = window_walk(job_, unit, {x.image, x.row, x.col}, job_.src_group());
    task.walk.out_image = dy.image;
    task.walk.out_row = dy.row;
    task.walk.out_col = dy.col;
    task.gradient = dy.data + g * filters_;
    task.filters = padded_;
    task.sums = sums;
    if (wanted_.kernel && !winograd_) {
      task.input = x.data + g * job_.src_group();
      (job_.depthwise() ? table.depthwise_weight_gradient : table.weight_gradient)(task);
    }
    task.sums = sums + kernel_rows() * padded_;
    if (wanted_.bias) table.column_sums(task);
  }
}

// Adds the chunks' sums [chunks][groups][rows][padded] up in their order: [rows][groups * filters].
Tensor Walk::add_up(const Tensor& partial, std::int64_t first_row, std::int64_t rows) const {
  const std::int64_t groups = job_.group_count();
  Tensor result(Shape{rows * groups * filters_});
  const Chunks parts(rows, 64);
  parallel_for(parts.number(), [&](std::int64_t i) {
    for (std::int64_t row = parts[i].begin; row < parts[i].end; ++row) {
      for (std::int64_t g = 0; g < groups; ++g) {
        float* const to = result.data() + (row * groups + g) * filters_;
        const float* from = partial.data() + g * group_floats() + (first_row + row) * padded_;
        std::copy_n(from, filters_, to);
        for (std::int64_t chunk = 1; chunk < chunks_.number(); ++chunk) {
          from += groups * group_floats();
          for (std::int64_t f = 0; f < filters_; ++f) to[f] += from[f];
        }
      }
    }
  });
  return result;
}

std::int64_t Walk::work() const {
  std::int64_t floats = winograd_ ? winograd_floats(job_) : 0;
  for (const Phase& phase : phases_) floats = std::max(floats, work_floats(phase.job));
  return floats;
}

Gradients Walk::run(const Source<float>& x, const Source<float>& dy) {
  const std::int64_t groups = job_.group_count();
  const bool gathers = wanted_.kernel || wanted_.bias;
  Tensor dx, partial;
  if (wanted_.kernel) count_products(job_);
  for (const Phase& phase : phases_) count_products(phase.job);
  if (wanted_.input) {
    const WindowGeometry& g = problem_.geometry;
    dx = Tensor({g.batch, g.in_height, g.in_width, g.channels * problem_.multiplier()});
  }
  if (gathers) {
    const std::int64_t number = std::max<std::int64_t>(chunks_.number(), 1);
    partial = Tensor::zeros(Shape{number * groups, group_floats()});
  }
  if (units_.number() > 0) {
    std::int64_t dy_floats = 0;
    for (std::int64_t i = 0; i < units_.number(); ++i) {
      dy_floats = std::max(dy_floats, gradient_band(units_[i]).elements());
    }
    dy_floats = round_up(dy_floats, 16);
    const std::int64_t x_floats = round_up(source_band(job_, units_[0], lanes_).elements(), 16);
    const std::int64_t line = std::max(line_elements(job_.src), line_elements(job_.dst));
    Scratch scratch(x_floats + dy_floats + line + work());
    parallel_for(chunks_.number(), [&](std::int64_t chunk) {
      float* const mine = scratch.mine();
      float* const mine_dy = mine + x_floats;
      float* const mine_line = mine_dy + dy_floats;
      float* const mine_work = mine_line + line;
      for (std::int64_t i = chunks_[chunk].begin; i < chunks_[chunk].end; ++i) {
        const Unit unit = units_[i];
        const BandShape shape = gradient_band(unit);
        Band<float> band = read_band(dy, job_.dst, shape, mine_dy, mine_line);
        if (wanted_.input) spread(unit, band, shape, mine_work, dx);
        if (!gathers) continue;
        band.data += (unit.rows.begin - shape.rows.begin) * band.row - shape.cols.begin * band.col;
        const Band<float> input =
            wanted_.kernel
                ? read_band(x, job_.src, source_band(job_, unit, lanes_), mine, mine_line)
                : Band<float>{};
        gather(unit, input, band, mine_work, partial.data() + chunk * groups * group_floats());
      }
    });
  }
  Gradients result;
  if (wanted_.input) result.input = std::move(dx);
  if (wanted_.kernel) result.kernel = add_up(partial, 0, kernel_rows());
  if (wanted_.kernel && winograd_) {
    result.kernel = winograd_kernel_gradient(job_, result.kernel.data());
  }
  if (wanted_.bias) result.bias = add_up(partial, kernel_rows(), 1);
  return result;
}

Tensor sum_copies(const Tensor& copies, std::int64_t count) {
  const std::span<const float> from = copies.values();
  const Shape& shape = copies.shape();
  Tensor sums({shape[0], shape[1], shape[2], shape[3] / count});
  std::size_t next = 0;
  for (float& sum : sums.values()) {
    sum = from[next++];
    for (std::int64_t m = 1; m < count; ++m) sum += from[next++];
  }
  return sums;
}

}  // namespace

Gradients gradients(const Problem& problem, const Source<float>& x, const Tensor& kernel,
                    const Source<float>& dy, const Wanted& wanted) {
  Gradients result = Walk(problem, kernel, wanted).run(x, dy);
  if (wanted.input && problem.multiplier() > 1) {
    result.input = sum_copies(result.input, problem.multiplier());
  }
  if (wanted.kernel) result.kernel = result.kernel.reshape(kernel.shape());
  return result;
}

}  // namespace perch::conv
