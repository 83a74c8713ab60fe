#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/grid.h>
#include <perch/core/kernels/tail_readers.h>

namespace perch::kernels {
namespace {

// Vectors of columns whose sums are in registers at once, where the data are in the cache.
constexpr int column_vectors = lanes >= 16 ? 2 : 1;

void decode(const TailInput& x, const TailMap* map, float* y, std::int64_t n, std::int64_t width) {
  const std::int64_t held = map == nullptr ? 0 : held_elements(n, width);
  if (held > 0) {
    with_reader<TableInRegisters>(x, map, [&](const auto& from) {
      for_held_rows(held, [&](std::int64_t i, std::int64_t column)
                              PERCH_INLINE { from.at(i, column, Whole{}).store_unaligned(y + i); });
    });
  }
  with_reader(x, map, [&](const auto& from) {
    for_columns(n - held, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      access.store(y + held + i, from.at(held + i, column, access));
    });
  });
}

template <bool dividing>
void encode_as(const float* x, const GridArgs& grid, std::uint8_t* codes, std::int64_t n) {
  const Rounding<dividing> rounding(grid);
  const Batch zero_point(grid.zero_point);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    access.store(codes + i, rounding.level(access.load(x + i)) + zero_point);
  });
}

void encode(const float* x, const GridArgs& grid, bool dividing, std::uint8_t* codes,
            std::int64_t n) {
  (dividing ? encode_as<true> : encode_as<false>)(x, grid, codes, n);
}

template <bool dividing, bool sums>
void encode_rows(const float* x, const GridArgs& grid, std::uint8_t* codes, std::uint16_t* inside,
                 const CodeSums& to, std::int64_t n, std::int64_t width) {
  const Rounding<dividing> rounding(grid);
  const Batch zero_point(grid.zero_point);
  // Sixteen elements from i on: codes and bits; add(part, codes) for the sums.
  const auto encode_group = [&](std::int64_t i, const auto& add) PERCH_INLINE {
    unsigned bits = 0;
    repeat<parts>([&](int p) PERCH_INLINE {
      const Batch value = Batch::load_unaligned(x + i + p * lanes);
      const Batch clamped = rounding.clamp(value);
      const Batch code = rounding.level_of_clamped(clamped) + zero_point;
      store_codes(codes + i + p * lanes, code);
      bits |= bits_of(clamped == value) << (p * lanes);
      add(p, code);
    });
    inside[i / group] = static_cast<std::uint16_t>(bits);
  };
  const std::int64_t rows = n / width;
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t end = begin + rows_per_flush < rows ? begin + rows_per_flush : rows;
    const auto columns = [&](std::int64_t column, auto count) PERCH_INLINE {
      constexpr int vectors = decltype(count)::value * parts;
      Batch sum[vectors], square[vectors];
      repeat<vectors>([&](int v) PERCH_INLINE { sum[v] = square[v] = Batch(0.0f); });
      for (std::int64_t row = begin; row < end; ++row) {
        repeat<decltype(count)::value>([&](int g) PERCH_INLINE {
          encode_group(row * width + column + g * group,
                       [&](int p, const Batch& code) PERCH_INLINE {
                         if constexpr (sums) {
                           sum[g * parts + p] += code;
                           square[g * parts + p] = multiply_add(code, code, square[g * parts + p]);
                         }
                       });
        });
      }
      if constexpr (sums) {
        repeat<vectors>([&](int v) PERCH_INLINE {
          flush(sum[v], to.sums + column + v * lanes);
          flush(square[v], to.squares + column + v * lanes);
        });
      }
    };
    std::int64_t column = 0;
    // As many columns as the registers hold tables and sums of.
    constexpr int groups = lanes >= 16 ? 4 : 1;
    for (; column + groups * group <= width; column += groups * group) {
      columns(column, std::integral_constant<int, groups>());
    }
    for (; column < width; column += group) columns(column, std::integral_constant<int, 1>());
  }

  // The incomplete last row, sixteen at a time through a buffer.
  for (std::int64_t i = rows * width; i < n; i += group) {
    const std::int64_t count = n - i < group ? n - i : group;
    alignas(64) float values[group];
    std::uint8_t rounded[group];
    std::uint16_t bits = 0;
    for (std::int64_t j = 0; j < group; ++j) values[j] = x[i + (j < count ? j : 0)];
    encode_rows<dividing, false>(values, grid, rounded, &bits, {}, group, group);
    inside[i / group] = bits;
    for (std::int64_t j = 0; j < count; ++j) {
      codes[i + j] = rounded[j];
      if constexpr (sums) {
        const auto code = static_cast<double>(rounded[j]);
        to.sums[i % width + j] += code;
        to.squares[i % width + j] += code * code;
      }
    }
  }
}

void encode_and_sum(const float* x, const GridArgs& grid, bool dividing, std::uint8_t* codes,
                    std::uint16_t* inside, const CodeSums& sums, std::int64_t n,
                    std::int64_t width) {
  if (sums.sums != nullptr) {
    (dividing ? encode_rows<true, true> : encode_rows<false, true>)(x, grid, codes, inside, sums, n,
                                                                    width);
  } else {
    (dividing ? encode_rows<true, false> : encode_rows<false, false>)(x, grid, codes, inside, sums,
                                                                      n, width);
  }
}

void statistics(const float* x, const ColumnStatistics& to, std::int64_t n, std::int64_t width) {
  const std::int64_t rows = n / width;
  const auto columns = [&](std::int64_t column, auto count) PERCH_INLINE {
    constexpr int unroll = decltype(count)::value;
    Batch low[unroll], high[unroll];
    Doubles shift[unroll], sum[unroll], square[unroll];
    repeat<unroll>([&](int v) PERCH_INLINE {
      const std::int64_t at = column + v * lanes;
      low[v] = Batch::load_unaligned(to.low + at);
      high[v] = Batch::load_unaligned(to.high + at);
      shift[v] = widen(Batch::load_unaligned(to.shift + at));
      sum[v] = load_doubles(to.sums + at);
      square[v] = load_doubles(to.squares + at);
    });
    const float* row = x + column;
    for (std::int64_t r = 0; r < rows; ++r, row += width) {
      repeat<unroll>([&](int v) PERCH_INLINE {
        const Batch value = Batch::load_unaligned(row + v * lanes);
        low[v] = xsimd::min(value, low[v]);
        high[v] = xsimd::max(value, high[v]);
        const Doubles wide = widen(value);
        const Doubles distance{wide.low - shift[v].low, wide.high - shift[v].high};
        sum[v].low += distance.low;
        sum[v].high += distance.high;
        square[v].low = multiply_add(distance.low, distance.low, square[v].low);
        square[v].high = multiply_add(distance.high, distance.high, square[v].high);
      });
    }
    repeat<unroll>([&](int v) PERCH_INLINE {
      const std::int64_t at = column + v * lanes;
      low[v].store_unaligned(to.low + at);
      high[v].store_unaligned(to.high + at);
      store_doubles(to.sums + at, sum[v]);
      store_doubles(to.squares + at, square[v]);
    });
  };
  std::int64_t column = 0;
  for (; column + column_vectors * lanes <= width; column += column_vectors * lanes) {
    columns(column, std::integral_constant<int, column_vectors>());
  }
  for (; column < width; column += lanes) columns(column, std::integral_constant<int, 1>());

  for (std::int64_t i = rows * width; i < n; ++i) {
    const std::int64_t c = i - rows * width;
    const double distance = static_cast<double>(x[i]) - static_cast<double>(to.shift[c]);
    to.low[c] = x[i] < to.low[c] ? x[i] : to.low[c];
    to.high[c] = x[i] > to.high[c] ? x[i] : to.high[c];
    to.sums[c] += distance;
    to.squares[c] += distance * distance;
  }
}

bool extremes(const float* x, float* lows, float* highs, std::int64_t n, std::int64_t width) {
  const std::int64_t rows = n / width;
  Batch total(0.0f);
  const auto columns = [&](std::int64_t column, auto count) PERCH_INLINE {
    constexpr int unroll = decltype(count)::value;
    Batch low[unroll], high[unroll], sum[unroll];
    repeat<unroll>([&](int v) PERCH_INLINE {
      low[v] = Batch::load_unaligned(lows + column + v * lanes);
      high[v] = Batch::load_unaligned(highs + column + v * lanes);
      sum[v] = Batch(0.0f);
    });
    const float* row = x + column;
    for (std::int64_t r = 0; r < rows; ++r, row += width) {
      repeat<unroll>([&](int v) PERCH_INLINE {
        const Batch value = Batch::load_unaligned(row + v * lanes);
        low[v] = xsimd::min(value, low[v]);
        high[v] = xsimd::max(value, high[v]);
        sum[v] += value;
      });
    }
    repeat<unroll>([&](int v) PERCH_INLINE {
      low[v].store_unaligned(lows + column + v * lanes);
      high[v].store_unaligned(highs + column + v * lanes);
      total += sum[v];
    });
  };
  std::int64_t column = 0;
  for (; column + column_vectors * lanes <= width; column += column_vectors * lanes) {
    columns(column, std::integral_constant<int, column_vectors>());
  }
  for (; column < width; column += lanes) columns(column, std::integral_constant<int, 1>());
  float rest = 0.0f;
  for (std::int64_t i = rows * width; i < n; ++i) {
    const std::int64_t c = i - rows * width;
    lows[c] = x[i] < lows[c] ? x[i] : lows[c];
    highs[c] = x[i] > highs[c] ? x[i] : highs[c];
    rest += x[i];
  }
  rest += xsimd::hadd(total);
  return rest - rest == 0.0f;
}

}  // namespace

namespace PERCH_ARCH {

extern const TailKernels tail;
const TailKernels tail{
    .decode = kernels::decode,
    .encode = kernels::encode,
    .encode_and_sum = kernels::encode_and_sum,
    .statistics = kernels::statistics,
    .extremes = kernels::extremes,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
