#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/levels.h>
#include <perch/core/ops/slice_parts.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>

namespace perch {
namespace {

constexpr float smallest_normal = std::numeric_limits<float>::min();

Tensor finite_rows(const char* op, const Variable& x, const SliceParts& rows) {
  PERCH_CHECK(all_finite(x.value()),
              "{}: the values hold a NaN or an infinity, for which there is no level; check the "
              "data and the learning rate",
              op);
  return rows.slices().gather(x.value());
}

/// Of a row: its largest, and the sum and number of those above a limit.
struct Magnitudes {
  double sum = 0.0;
  std::int64_t count = 0;
  float largest = 0.0f;

  void add(const Magnitudes& other) {
    sum += other.sum;
    count += other.count;
    largest = std::max(largest, other.largest);
  }
  float mean() const {
    return count == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(count));
  }
};

/// `above`: the limit of each row; none counts all.
std::vector<Magnitudes> magnitudes(const SliceParts& rows, const Tensor& values,
                                   const std::vector<float>& above = {}) {
  std::vector<Magnitudes> parts(static_cast<std::size_t>(rows.parts()));
  const float* const from = values.data();
  rows.for_parts([&](std::int64_t part) {
    const float limit = above.empty() ? -1.0f : above[rows.row(part)];
    const ChunkRange range = rows.elements(part);
    Magnitudes found;
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const float magnitude = std::abs(from[i]);
      const bool counts = magnitude > limit;
      // A product, not a branch, which would be mispredicted every other time.
      found.sum += double{magnitude * static_cast<float>(counts)};
      found.count += static_cast<std::int64_t>(counts);
      found.largest = std::max(found.largest, magnitude);
    }
    parts[static_cast<std::size_t>(part)] = found;
  });
  std::vector<Magnitudes> result(rows.count());
  for (std::int64_t part = 0; part < rows.parts(); ++part) {
    result[rows.row(part)].add(parts[static_cast<std::size_t>(part)]);
  }
  return result;
}

/// f(magnitudes) of each row.
template <class F>
std::vector<float> mapped(const std::vector<Magnitudes>& rows, const F& f) {
  const FlushDenormals guard;
  std::vector<float> result;
  result.reserve(rows.size());
  for (const Magnitudes& row : rows) result.push_back(f(row));
  return result;
}

std::vector<float> means(const std::vector<Magnitudes>& rows) {
  return mapped(rows, [](const Magnitudes& row) { return row.mean(); });
}

/// Each element of the rows becomes levels(row)(element).
template <class Levels>
Variable by_rows(const char* op, const Variable& x, const SliceParts& rows, const Tensor& values,
                 const Levels& levels, GradientFn gradient) {
  Tensor result(values.shape());
  const float* const from = values.data();
  float* const to = result.data();
  rows.for_parts([&](std::int64_t part) {
    const auto level = levels(rows.row(part));
    const ChunkRange range = rows.elements(part);
    for (std::int64_t i = range.begin; i < range.end; ++i) to[i] = level(from[i]);
  });
  return Variable::from_op(op, rows.slices().scatter(result), {x}, std::move(gradient));
}

std::vector<Tensor> straight_through(Tensor dy) {
  return {std::move(dy)};
}

/// dx = slopes(row)(element, dy).
template <class Slopes>
GradientFn sloped(const SliceParts& rows, const Tensor& values, const Slopes& slopes) {
  return [=](Tensor dy) -> std::vector<Tensor> {
    const Tensor upstream = rows.slices().gather(dy);
    dy = Tensor();  // so that upstream, which may share its elements, is the only one
    Tensor dx = reuse_or_allocate(upstream);
    const float *const from = values.data(), *const before = upstream.data();
    float* const to = dx.data();
    rows.for_parts([&](std::int64_t part) {
      const auto slope = slopes(rows.row(part));
      const ChunkRange range = rows.elements(part);
      for (std::int64_t i = range.begin; i < range.end; ++i) to[i] = slope(from[i], before[i]);
    });
    return {rows.slices().scatter(dx)};
  };
}

/// Levels of sign(x) times the row's mean magnitude.
auto signs(const SliceParts& rows, const Tensor& values) {
  return [scales = means(magnitudes(rows, values))](std::size_t row) {
    return [scale = scales[row]](float v) { return v < 0.0f ? -scale : scale; };
  };
}

// In value, halves up: 2^k where 3/4 2^k <= magnitude < 3/2 2^k. For normal numbers; infinite from
// 3/4 2^128 on.
float nearest_power(float magnitude) {
  constexpr std::uint32_t half = 1u << 22, exponent = 0xffu << 23;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(magnitude) + half) & exponent);
}

}  // namespace

Variable binary_quant(const Variable& x, const std::vector<int>& axes) {
  constexpr const char* op = "binary_quant";
  const SliceParts rows(x.shape(), axes);
  const Tensor values = finite_rows(op, x, rows);
  const auto clipped = [](std::size_t) {
    return [](float v, float dy) { return std::abs(v) <= 1.0f ? dy : 0.0f; };
  };
  return by_rows(op, x, rows, values, signs(rows, values), sloped(rows, values, clipped));
}

Variable ternary_quant(const Variable& x, const std::vector<int>& axes, float threshold) {
  constexpr const char* op = "ternary_quant";
  const SliceParts rows(x.shape(), axes);
  const Tensor values = finite_rows(op, x, rows);
  const std::vector<float> limits =
      mapped(magnitudes(rows, values),
             [threshold](const Magnitudes& row) { return threshold * row.mean(); });
  const std::vector<float> scales = means(magnitudes(rows, values, limits));
  const auto levels = [&](std::size_t row) {
    return [limit = limits[row], scale = scales[row]](float v) {
      return std::abs(v) > limit ? std::copysign(scale, v) : 0.0f;
    };
  };
  return by_rows(op, x, rows, values, levels, straight_through);
}

Variable power_of_two_quant(const Variable& x, const std::vector<int>& axes, int bits) {
  constexpr const char* op = "power_of_two_quant";
  PERCH_CHECK(bits >= 2 && bits <= 16, "{}: {} bits; it takes 2 to 16", op, bits);
  const SliceParts rows(x.shape(), axes);
  const Tensor values = finite_rows(op, x, rows);
  const std::vector<float> highest = mapped(magnitudes(rows, values), [](const Magnitudes& row) {
    return std::min(nearest_power(row.largest), std::ldexp(1.0f, 127));
  });
  const int powers = (1 << (bits - 1)) - 1;
  const auto levels = [&](std::size_t row) {
    const float high = highest[row];
    const float low = std::max(std::ldexp(high, 1 - powers), smallest_normal);
    const float limit = std::max(low / 2.0f, smallest_normal);
    return [=](float v) {
      const float magnitude = std::abs(v);
      const float power = std::max(std::min(nearest_power(magnitude), high), low);
      return magnitude < limit ? 0.0f : std::copysign(power, v);
    };
  };
  return by_rows(op, x, rows, values, levels, straight_through);
}

Variable dorefa_weight_quant(const Variable& x, const std::vector<int>& axes, int bits) {
  constexpr const char* op = "dorefa_weight_quant";
  PERCH_CHECK(bits >= 1 && bits <= 16, "{}: {} bits; it takes 1 to 16", op, bits);
  const SliceParts rows(x.shape(), axes);
  const Tensor values = finite_rows(op, x, rows);
  if (bits == 1) return by_rows(op, x, rows, values, signs(rows, values), straight_through);

  Tensor tanh(values.shape());
  parallel_elements(values.size(), [&](ChunkRange range) {
    kernels::active().elementwise.tanh(tanh.data() + range.begin, values.data() + range.begin,
                                       range.size());
  });
  const std::vector<float> largest =
      mapped(magnitudes(rows, tanh), [](const Magnitudes& row) { return row.largest; });
  const float steps = static_cast<float>((1 << bits) - 1);
  const auto levels = [&](std::size_t row) {
    return [most = largest[row], steps](float t) {
      if (most == 0.0f) return 0.0f;
      // Never negative: the conversion is floor().
      const int level = static_cast<int>((t / (2.0f * most) + 0.5f) * steps + 0.5f);
      return (2.0f * static_cast<float>(level) - steps) / steps;
    };
  };
  const auto slopes = [largest](std::size_t row) {
    return [most = largest[row]](float t, float dy) {
      return most == 0.0f ? dy : dy * (1.0f - t * t) / most;
    };
  };
  return by_rows(op, x, rows, tanh, levels, sloped(rows, tanh, slopes));
}

}  // namespace perch
