#include <cmath>
#include <functional>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/code_moments.h>
#include <perch/core/ops/conv_integer.h>
#include <perch/core/ops/conv_product.h>
#include <perch/core/storage.h>

namespace perch::conv {
namespace {

// 2^31 / 255^2 terms, less room for the corrections.
constexpr std::int64_t most_terms = 33000;
// 2^24 / 255^2: a float holds every sum of fewer products exactly.
constexpr std::int64_t most_float_terms = 258;

std::int64_t padded_group(const Job& job) {
  return round_up(job.src_group(), kernels::active().integer.layout.terms);
}

/// Reads the codes of x one after another, from codes or from floats.
void read_codes(const Tensor& x, std::int64_t first, std::int64_t count, std::uint8_t* to) {
  if (x.deferred() != nullptr) {
    std::copy_n(x.deferred()->codes.get() + first, count, to);
  } else if (x.grid()->scale.item() == 0.0f) {
    std::fill_n(to, count, std::uint8_t{0});
  } else {
    constexpr bool dividing = false;
    kernels::active().tail.encode(x.data() + first, settled_grid(*x.grid()), dividing, to, count);
  }
}

/// x as what an integer kernel reads: bytes of codes, or 16-bit levels.
template <class T>
class CodeSource {
 public:
  explicit CodeSource(const Tensor& x)
      : x_(x), zero_(static_cast<int>(x.grid()->zero_point.item())) {}
  operator Source<T>() const {
    constexpr bool bytes = sizeof(T) == 1;
    const bool in_memory = bytes && x_.deferred() != nullptr;
    return {.plain = in_memory ? reinterpret_cast<const T*>(x_.deferred()->codes.get()) : nullptr,
            .read = *this,
            .padding = static_cast<T>(bytes ? zero_ : 0)};
  }
  void operator()(std::int64_t first, std::int64_t count, T* to) const {
    if constexpr (sizeof(T) == 1) {
      read_codes(x_, first, count, to);
    } else {
      constexpr std::int64_t part = 1024;
      std::uint8_t codes[part];
      for (std::int64_t i = 0; i < count; i += part) {
        const std::int64_t some = std::min(part, count - i);
        read_codes(x_, first + i, some, codes);
        for (std::int64_t j = 0; j < some; ++j) to[i + j] = static_cast<T>(codes[j] - zero_);
      }
    }
  }

 private:
  const Tensor& x_;
  int zero_;
};

/// Which range of its grid a kernel's output channel has; nothing when the ranges lie otherwise.
std::function<std::int64_t(std::int64_t)> range_of_filter(const Job& job, const Tensor& kernel) {
  const std::vector<int>& axes = kernel.grid()->axes;
  if (axes.empty()) return [](std::int64_t) { return std::int64_t{0}; };
  const int last = kernel.shape().rank() - 1;
  if (!job.depthwise()) {
    if (axes != std::vector{last}) return {};
    return [](std::int64_t f) { return f; };
  }
  const std::int64_t multiplier = kernel.shape()[3];
  if (axes == std::vector{2, 3}) return [](std::int64_t f) { return f; };
  if (axes == std::vector{2}) return [multiplier](std::int64_t f) { return f / multiplier; };
  if (axes == std::vector{3}) return [multiplier](std::int64_t f) { return f % multiplier; };
  return {};
}

/// Scale and zero point of each output channel of a kernel.
struct FilterGrids {
  FilterGrids(const CodeGrid& grid, std::int64_t filters,
              const std::function<std::int64_t(std::int64_t)>& range)
      : scale(Shape{filters}), zero_point(Shape{filters}) {
    for (std::int64_t f = 0; f < filters; ++f) {
      scale.data()[f] = grid.scale.data()[range(f)];
      zero_point.data()[f] = grid.zero_point.data()[range(f)];
    }
  }
  int level(float value, std::int64_t filter) const {
    const float s = scale.data()[filter];
    return s == 0.0f ? 0 : static_cast<int>(std::lrint(value / s));
  }
  int zero(std::int64_t filter) const { return static_cast<int>(zero_point.data()[filter]); }

  Tensor scale, zero_point;
};

// Depthwise kernels keep their layout, [h, w, C, M]: the last two axes are the filters.
Tensor levels_of(const Tensor& kernel, const FilterGrids& grids) {
  const std::int64_t filters = grids.scale.size();
  Tensor levels(kernel.shape());
  for (std::int64_t i = 0; i < kernel.size(); ++i) {
    levels.data()[i] = static_cast<float>(grids.level(kernel.data()[i], i % filters));
  }
  return levels;
}

void pack(const Job& job, const Tensor& kernel, const KernelLayout& layout,
          const FilterGrids& grids, int input_zero, IntegerKernel& result) {
  const kernels::IntegerLayout form = kernels::active().integer.layout;
  const bool bytes = form.terms == 4;
  const std::int64_t filters = job.dst_group(), padded = round_up(filters, form.lanes);
  const std::int64_t block = kernels::active().conv.filter_block * form.lanes;
  const std::int64_t words = padded_group(job) / form.terms;
  result.group_words = job.rows.taps * job.cols.taps * words * padded;
  const std::int64_t all = job.group_count() * padded;
  result.weights = allocate_bytes(4 * job.group_count() * result.group_words);
  result.constant = allocate_bytes(4 * all);
  result.factor = allocate_bytes(4 * all);
  auto* const constant = reinterpret_cast<std::int32_t*>(result.constant.get());
  auto* const factor = reinterpret_cast<std::int32_t*>(result.factor.get());
  std::fill_n(constant, all, 0);
  std::fill_n(factor, all, 0);
  auto* to_bytes = reinterpret_cast<std::int8_t*>(result.weights.get());
  auto* to_pairs = reinterpret_cast<std::int16_t*>(result.weights.get());

  for (std::int64_t g = 0; g < job.group_count(); ++g) {
    for (std::int64_t first = 0; first < padded; first += block) {
      const std::int64_t width = std::min(block, padded - first);
      for (std::int64_t tap = 0; tap < job.rows.taps * job.cols.taps; ++tap) {
        const float* const from =
            kernel.data() + tap * layout.tap + first * layout.dst + g * layout.group;
        for (std::int64_t word = 0; word < words; ++word) {
          for (std::int64_t f = 0; f < width; ++f) {
            for (int t = 0; t < form.terms; ++t) {
              const std::int64_t c = word * form.terms + t;
              const std::int64_t filter = g * filters + first + f;
              const bool real = c < job.src_group() && first + f < filters;
              const int level =
                  real ? grids.level(from[c * layout.src + f * layout.dst], filter) : 0;
              if (real && bytes) constant[g * padded + first + f] -= input_zero * level;
              if (bytes) {
                *to_bytes++ = static_cast<std::int8_t>(real ? level + grids.zero(filter) - 128 : 0);
              } else {
                *to_pairs++ = static_cast<std::int16_t>(level);
              }
            }
          }
        }
      }
    }
    for (std::int64_t f = 0; bytes && f < filters; ++f) {
      factor[g * padded + f] = 128 - grids.zero(g * filters + f);
    }
  }
  if (std::all_of(factor, factor + all, [](std::int32_t x) { return x == 0; })) {
    result.factor = nullptr;
  }
}

template <class T>
Band<T> integer_band(const Job& job, const Unit& unit, const Tensor& x, float* scratch,
                     float* line) {
  BandShape shape = source_band(job, unit, 1);
  shape.channels_padded = job.group_count() * padded_group(job);
  const CodeSource<T> codes(x);
  return read_band<T>(codes, job.src, shape, reinterpret_cast<T*>(scratch),
                      reinterpret_cast<T*>(line));
}

/// The same band in 32-bit words.
Band<std::int32_t> word_band(const Job& job, const Unit& unit, const Tensor& x, float* scratch,
                             float* line) {
  const auto words = [](const auto& band, std::int64_t per_word) -> Band<std::int32_t> {
    return {reinterpret_cast<const std::int32_t*>(band.data), band.image / per_word,
            band.row / per_word, band.col / per_word};
  };
  return kernels::active().integer.layout.terms == 4
             ? words(integer_band<std::uint8_t>(job, unit, x, scratch, line), 4)
             : words(integer_band<std::int16_t>(job, unit, x, scratch, line), 2);
}

void sum_windows(const Job& job, const Unit& unit, const Band<std::int32_t>& band,
                 std::int64_t group, std::int32_t* pixels, std::int32_t* sums) {
  const std::int64_t words = padded_group(job) / kernels::active().integer.layout.terms;
  kernels::active().integer.window_sums({.input = band.data + group * words,
                                         .images = unit.images.size(),
                                         .band_rows = job.rows.reach(unit.rows.size()),
                                         .band_cols = job.cols.reach(job.cols.count),
                                         .words = words,
                                         .in_image = band.image,
                                         .in_row = band.row,
                                         .pitch = band.col,
                                         .rows = unit.rows.size(),
                                         .cols = job.cols.count,
                                         .row_step = job.rows.src_step,
                                         .col_step = job.cols.src_step,
                                         .tap_rows = job.rows.taps,
                                         .tap_cols = job.cols.taps,
                                         .tap_row_step = job.rows.tap_step,
                                         .tap_col_step = job.cols.tap_step,
                                         .pixels = pixels,
                                         .sums = sums});
}

}  // namespace

std::optional<IntegerKernel> IntegerKernel::of(const Job& job, const Tensor& x,
                                               const Tensor& kernel, const KernelLayout& layout,
                                               const Tensor& bias) {
  const CodeGrid *const input = x.grid(), *const grid = kernel.grid();
  if (input == nullptr || grid == nullptr || !input->axes.empty()) return std::nullopt;
  const std::int64_t terms = job.terms();
  if (terms > (job.depthwise() ? most_float_terms : most_terms)) return std::nullopt;
  if (job.groups > 1 && job.src_group() % kernels::active().integer.layout.terms != 0) {
    return std::nullopt;
  }
  const auto range = range_of_filter(job, kernel);
  if (!range) return std::nullopt;

  const FilterGrids grids(*grid, job.dst.channels, range);
  IntegerKernel result;
  Tensor scale = grids.scale.clone();
  for (float& s : scale.values()) s *= input->scale.item();
  if (job.depthwise()) {
    result.scale = std::move(scale);
    result.levels = levels_of(kernel, grids);
    return result;
  }
  result.scale = spread_filters(job, scale);
  result.bias = spread_filters(job, bias.empty() ? Tensor::zeros(Shape{job.dst.channels}) : bias);
  pack(job, kernel, layout, grids, static_cast<int>(input->zero_point.item()), result);
  return result;
}

IntegerScratch integer_scratch(const Job& job, const Unit& largest) {
  const std::int64_t per_float = kernels::active().integer.layout.terms;
  BandShape shape = source_band(job, largest, 1);
  shape.channels_padded = job.group_count() * padded_group(job);
  const auto floats = [&](std::int64_t elements) { return round_up(elements / per_float + 1, 16); };
  return {.band = floats(shape.elements()),
          .line = floats(line_elements(job.src)),
          .sums = round_up(largest.images.size() * largest.rows.size() * job.cols.count, 16),
          .pixels = round_up(shape.rows.size() * shape.cols.size(), 16)};
}

void multiply_integer_unit(const Job& job, const Unit& unit, const Tensor& x,
                           const IntegerKernel& kernel, float* scratch, float* out) {
  const kernels::IntegerLayout form = kernels::active().integer.layout;
  const IntegerScratch parts = integer_scratch(job, unit);
  auto* const sums = reinterpret_cast<std::int32_t*>(scratch + parts.band + parts.line);
  auto* const pixels = sums + parts.sums;
  const Band<std::int32_t> band = word_band(job, unit, x, scratch, scratch + parts.band);
  const std::int64_t filters = job.dst_group(), padded = round_up(filters, form.lanes);
  const std::int64_t words = padded_group(job) / form.terms;
  const auto integers = [](const std::shared_ptr<std::uint8_t>& bytes) {
    return reinterpret_cast<const std::int32_t*>(bytes.get());
  };
  kernels::IntegerProduct task{};
  task.walk = window_walk(job, unit, {band.image, band.row, band.col}, words);
  task.filters = filters;
  for (std::int64_t g = 0; g < job.group_count(); ++g) {
    task.input = band.data + g * words;
    task.weights = integers(kernel.weights) + g * kernel.group_words;
    task.constant = integers(kernel.constant) + g * padded;
    if (kernel.factor != nullptr) {
      sum_windows(job, unit, band, g, pixels, sums);
      task.window_factor = integers(kernel.factor) + g * padded;
      task.window_sums = sums;
    }
    task.scale = kernel.scale.data() + g * padded;
    task.bias = kernel.bias.data() + g * padded;
    task.output = out + g * filters;
    kernels::active().integer.forward(task);
  }
}

void LevelSource::operator()(std::int64_t first, std::int64_t count, float* to) const {
  const auto decode = kernels::active().tail.decode;
  kernels::TailInput input{};
  input.zero_point = x_.grid()->zero_point.item();
  input.scale = 1.0f;
  if (x_.deferred() != nullptr) {
    input.codes = x_.deferred()->codes.get() + first;
    return decode(input, nullptr, to, count, count);
  }
  constexpr std::int64_t part = 1024;
  std::uint8_t codes[part];
  input.codes = codes;
  for (std::int64_t i = 0; i < count; i += part) {
    const std::int64_t some = std::min(part, count - i);
    read_codes(x_, first + i, some, codes);
    decode(input, nullptr, to + i, some, some);
  }
}

}  // namespace perch::conv
