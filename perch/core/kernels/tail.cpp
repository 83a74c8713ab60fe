#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/grid.h>
#include <perch/core/kernels/tail.h>

namespace perch::kernels {
namespace {

// A sum of floats over this many rows before it is added to a double. Squares of 8-bit codes stay
// below 2^24, so that their sums are exact too.
constexpr std::int64_t rows_per_flush = 64;
// Vectors of columns whose sums are in registers at once.
constexpr int column_vectors = static_cast<int>(64 / lanes) < 4 ? 2 : 4;

// How a vector of elements is read: from floats or from codes.
struct FromValues {
  explicit FromValues(const TailInput& x) : values(x.values) {}
  template <class Access>
  Batch at(std::int64_t i, const Access& access) const {
    return access.load(values + i);
  }
  const float* values;
};

struct FromCodes {
  explicit FromCodes(const TailInput& x) : codes(x.codes), zero_point(x.zero_point), scale(x.scale) {}
  template <class Access>
  Batch at(std::int64_t i, const Access& access) const {
    return (access.codes(codes + i) - zero_point) * scale;
  }
  const std::uint8_t* codes;
  Batch zero_point, scale;
};

// Calls run(reader).
template <class Run>
inline void with_reader(const TailInput& x, const Run& run) {
  if (x.codes != nullptr) {
    run(FromCodes(x));
  } else {
    run(FromValues(x));
  }
}

// NaN stays: x86's min and max return the second operand then.
inline Batch limit(const Batch& x, const Batch& low, const Batch& high) {
  return xsimd::min(high, xsimd::max(low, x));
}

void decode(const TailInput& x, const TailMap* map, float* y, std::int64_t n, std::int64_t width) {
  with_reader(x, [&](const auto& from) {
    if (map == nullptr) {
      for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
        access.store(y + i, from.at(i, access));
      });
      return;
    }
    const Batch low(map->low), high(map->high);
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      const Batch centred = from.at(i, access) - Batch::load_unaligned(map->shift + column);
      const Batch mapped = multiply_add(centred, Batch::load_unaligned(map->factor + column),
                                        Batch::load_unaligned(map->offset + column));
      access.store(y + i, limit(mapped, low, high));
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

inline void flush(const Batch& partial, double* sums) {
  alignas(64) float buffer[lanes];
  partial.store_aligned(buffer);
  for (std::int64_t i = 0; i < lanes; ++i) sums[i] += static_cast<double>(buffer[i]);
}

/// block(first row, rows, column, unroll) over the complete rows, at most rows_per_flush rows and
/// `unroll` vectors of columns at a time, which unroll is a constant of.
template <class Block>
inline void for_blocks(std::int64_t rows, std::int64_t width, const Block& block) {
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t count = rows - begin < rows_per_flush ? rows - begin : rows_per_flush;
    std::int64_t column = 0;
    for (; column + column_vectors * lanes <= width; column += column_vectors * lanes) {
      block(begin, count, column, std::integral_constant<int, column_vectors>());
    }
    for (; column < width; column += lanes) {
      block(begin, count, column, std::integral_constant<int, 1>());
    }
  }
}

template <bool dividing, bool sums>
void encode_rows(const float* x, const GridArgs& grid, std::uint8_t* codes, std::uint16_t* inside,
                 const CodeSums& to, std::int64_t n, std::int64_t width) {
  const Rounding<dividing> rounding(grid);
  const Batch zero_point(grid.zero_point);
  // One group of sixteen at element i: codes, bits, and its levels' sums when these are wanted.
  const auto encode_group = [&](std::int64_t i, auto add) PERCH_INLINE {
    unsigned bits = 0;
    repeat<parts>([&](int p) PERCH_INLINE {
      const Batch value = Batch::load_unaligned(x + i + p * lanes);
      const Batch level = rounding.level(value);
      store_codes(codes + i + p * lanes, level + zero_point);
      bits |= bits_of((value >= rounding.min) & (value <= rounding.max)) << (p * lanes);
      add(p, level);
    });
    inside[i / group] = static_cast<std::uint16_t>(bits);
  };
  const std::int64_t rows = n / width;
  constexpr int groups = 2;  // whose sums are in registers at once
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t end = begin + rows_per_flush < rows ? begin + rows_per_flush : rows;
    const auto columns = [&](std::int64_t column, auto count) PERCH_INLINE {
      constexpr int vectors = decltype(count)::value * parts;
      Batch sum[vectors], square[vectors];
      repeat<vectors>([&](int v) PERCH_INLINE { sum[v] = square[v] = Batch(0.0f); });
      for (std::int64_t row = begin; row < end; ++row) {
        repeat<decltype(count)::value>([&](int g) PERCH_INLINE {
          encode_group(row * width + column + g * group, [&](int p, const Batch& level) PERCH_INLINE {
            if constexpr (sums) {
              sum[g * parts + p] += level;
              square[g * parts + p] = multiply_add(level, level, square[g * parts + p]);
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
        const double level = static_cast<double>(rounded[j]) - static_cast<double>(grid.zero_point);
        to.sums[i % width + j] += level;
        to.squares[i % width + j] += level * level;
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

// Vectors of columns whose statistics are in registers at once.
constexpr int statistics_vectors = lanes >= 16 ? 2 : 1;

template <bool squares>
void statistics_of(const float* x, const ColumnStatistics& to, std::int64_t n, std::int64_t width) {
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
      if constexpr (squares) square[v] = load_doubles(to.squares + at);
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
        if constexpr (squares) {
          square[v].low += distance.low * distance.low;
          square[v].high += distance.high * distance.high;
        }
      });
    }
    repeat<unroll>([&](int v) PERCH_INLINE {
      const std::int64_t at = column + v * lanes;
      low[v].store_unaligned(to.low + at);
      high[v].store_unaligned(to.high + at);
      store_doubles(to.sums + at, sum[v]);
      if constexpr (squares) store_doubles(to.squares + at, square[v]);
    });
  };
  std::int64_t column = 0;
  for (; column + statistics_vectors * lanes <= width; column += statistics_vectors * lanes) {
    columns(column, std::integral_constant<int, statistics_vectors>());
  }
  for (; column < width; column += lanes) columns(column, std::integral_constant<int, 1>());

  for (std::int64_t i = rows * width; i < n; ++i) {
    const std::int64_t c = i - rows * width;
    const double distance = static_cast<double>(x[i]) - static_cast<double>(to.shift[c]);
    to.low[c] = x[i] < to.low[c] ? x[i] : to.low[c];
    to.high[c] = x[i] > to.high[c] ? x[i] : to.high[c];
    to.sums[c] += distance;
    if constexpr (squares) to.squares[c] += distance * distance;
  }
}

void statistics(const float* x, const ColumnStatistics& to, std::int64_t n, std::int64_t width) {
  (to.squares != nullptr ? statistics_of<true> : statistics_of<false>)(x, to, n, width);
}

// (x - shift) and the map's value before its limits, at one vector.
struct Mapped {
  template <class Reader, class Access>
  Mapped(const Reader& from, const TailMap& map, std::int64_t i, std::int64_t column,
         const Access& access)
      : centred(from.at(i, access) - Batch::load_unaligned(map.shift + column)),
        value(multiply_add(centred, Batch::load_unaligned(map.factor + column),
                           Batch::load_unaligned(map.offset + column))) {}
  Batch centred, value;
};

// A product, not a selection: TensorFlow's zeros carry the sign of dy.
inline Batch masked(const Batch& dy, const Mask& inside) {
  return dy * xsimd::select(inside, Batch(1.0f), Batch(0.0f));
}

void gradient_sums(const TailInput& x, const TailMap& map, const TailGradient& gradient,
                   const float* dy, double* values, double* products, std::int64_t n,
                   std::int64_t width) {
  const Batch lowest(gradient.low), highest(gradient.high);
  const std::int64_t rows = n / width;
  with_reader(x, [&](const auto& from) {
    const auto upstream = [&](const Mapped& mapped, std::int64_t i, const auto& access) {
      return masked(access.load(dy + i), (mapped.value >= lowest) & (mapped.value <= highest));
    };
    for_blocks(rows, width, [&](std::int64_t begin, std::int64_t count, std::int64_t column, auto u) {
      constexpr int unroll = decltype(u)::value;
      Batch sum[unroll], product[unroll];
      repeat<unroll>([&](int v) PERCH_INLINE { sum[v] = product[v] = Batch(0.0f); });
      for (std::int64_t row = begin; row < begin + count; ++row) {
        repeat<unroll>([&](int v) PERCH_INLINE {
          const std::int64_t at = column + v * lanes;
          const Mapped mapped(from, map, row * width + at, at, Whole{});
          const Batch g = upstream(mapped, row * width + at, Whole{});
          sum[v] += g;
          product[v] = multiply_add(g, mapped.centred, product[v]);
        });
      }
      repeat<unroll>([&](int v) PERCH_INLINE {
        flush(sum[v], values + column + v * lanes);
        flush(product[v], products + column + v * lanes);
      });
    });
    const std::int64_t tail = rows * width;
    for_columns(n - tail, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      const Mapped mapped(from, map, tail + i, column, access);
      const Batch g = upstream(mapped, tail + i, access);
      alignas(64) float sum[lanes], product[lanes];
      access.store(sum, g);
      access.store(product, g * mapped.centred);
      const std::int64_t count = n - tail - i < lanes ? n - tail - i : lanes;
      for (std::int64_t j = 0; j < count; ++j) {
        values[column + j] += static_cast<double>(sum[j]);
        products[column + j] += static_cast<double>(product[j]);
      }
    });
  });
}

// The `lanes` bits from bit `first` on.
inline Mask bits_at(const std::uint16_t* inside, std::int64_t first) {
  const std::uint16_t* const word = inside + first / 16;
  return mask_of((static_cast<unsigned>(word[0]) | static_cast<unsigned>(word[1]) << 16) >>
                 (first % 16));
}

void gradient(const TailInput& x, const TailMap& map, const TailGradient& gradient, const float* dy,
              const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
              std::int64_t width) {
  const Batch lowest(gradient.low), highest(gradient.high);
  with_reader(x, [&](const auto& from) {
    const auto run = [&](auto normalises, auto has_bits) {
      for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
        const Mapped mapped(from, map, i, column, access);
        Batch g = masked(access.load(dy + i), (mapped.value >= lowest) & (mapped.value <= highest));
        if constexpr (decltype(normalises)::value) {
          g = multiply_add(-mapped.centred, Batch::load_unaligned(gradient.slope + column),
                           g - Batch::load_unaligned(gradient.offset + column)) *
              Batch::load_unaligned(gradient.scale + column);
        }
        if constexpr (decltype(has_bits)::value) g = masked(g, bits_at(inside, first_bit + i));
        access.store(dx + i, g);
      });
    };
    using std::false_type, std::true_type;
    if (gradient.scale != nullptr) {
      inside != nullptr ? run(true_type(), true_type()) : run(true_type(), false_type());
    } else {
      inside != nullptr ? run(false_type(), true_type()) : run(false_type(), false_type());
    }
  });
}

void join(const float* a, const float* b, float low, float high, float* y, float* min, float* max,
          std::int64_t n) {
  const Batch lowest(low), highest(high);
  Batch least(*min), most(*max);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    const Batch value = limit(access.load(a + i) + access.load(b + i), lowest, highest);
    least = xsimd::min(value, least);
    most = xsimd::max(value, most);
    access.store(y + i, value);
  });
  alignas(64) float lows[lanes], highs[lanes];
  least.store_aligned(lows);
  most.store_aligned(highs);
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    *min = lows[lane] < *min ? lows[lane] : *min;
    *max = highs[lane] > *max ? highs[lane] : *max;
  }
}

void join_gradient(const float* a, const float* b, float low, float high, const float* dy,
                   float* dx, std::int64_t n) {
  const Batch lowest(low), highest(high);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    const Batch value = access.load(a + i) + access.load(b + i);
    access.store(dx + i, masked(access.load(dy + i), (value >= lowest) & (value <= highest)));
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const TailKernels tail;
const TailKernels tail{
    .decode = kernels::decode,
    .encode = kernels::encode,
    .encode_and_sum = kernels::encode_and_sum,
    .statistics = kernels::statistics,
    .gradient_sums = kernels::gradient_sums,
    .gradient = kernels::gradient,
    .join = kernels::join,
    .join_gradient = kernels::join_gradient,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
