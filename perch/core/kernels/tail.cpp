#include <perch/core/kernels/blocks.h>
#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/grid.h>
#include <perch/core/kernels/tail_readers.h>

namespace perch::kernels {
namespace {

// A sum of floats over this many rows before it is added to a double. Squares of 8-bit codes stay
// below 2^24, so that their sums are exact.
constexpr std::int64_t rows_per_flush = 64;
// Vectors of columns whose sums are in registers at once, where the data are in the cache.
constexpr int column_vectors = lanes >= 16 ? 2 : 1;
// Columns of a block where data come from memory: whole pieces of rows, one after another.
constexpr std::int64_t block_columns = 512;

inline void flush(const Batch& partial, double* sums) {
  const Doubles wide = widen(partial), held = load_doubles(sums);
  store_doubles(sums, {held.low + wide.low, held.high + wide.high});
}

void decode(const TailInput& x, const TailMap* map, float* y, std::int64_t n, std::int64_t width) {
  with_reader(x, map, [&](const auto& from) {
    for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
      access.store(y + i, from.at(i, column, access));
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

// A product, not a selection: TensorFlow's zeros carry the sign of dy.
inline Batch masked(const Batch& dy, const Mask& inside) {
  return dy * xsimd::select(inside, Batch(1.0f), Batch(0.0f));
}

/// x - shift, and whether the gate is open, at one vector.
struct Gated {
  Batch centred;
  Mask open;
};

struct ValueGate {
  ValueGate(const TailInput& x, const TailGradient& gradient)
      : from(x), tables(gradient), low(gradient.low), high(gradient.high) {}
  template <class Access>
  PERCH_INLINE Gated at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch centred = from.at(i, column, access) - Batch::load_unaligned(tables.shift + column);
    const Batch mapped = multiply_add(centred, Batch::load_unaligned(tables.factor + column),
                                      Batch::load_unaligned(tables.map_offset + column));
    return {centred, (mapped >= low) & (mapped <= high)};
  }

  FromValues from;
  const TailGradient& tables;
  Batch low, high;
};

struct CodeGate {
  CodeGate(const TailInput& x, const TailGradient& gradient) : from(x), tables(gradient) {}
  template <class Access>
  PERCH_INLINE Gated at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch code = access.codes(from.codes + i);
    const Batch centred =
        (code - from.zero_point) * from.scale - Batch::load_unaligned(tables.shift + column);
    return {centred, (code >= Batch::load_unaligned(tables.code_low + column)) &
                         (code <= Batch::load_unaligned(tables.code_high + column))};
  }

  FromCodes from;
  const TailGradient& tables;
};

/// Sums of the whole rows' columns [first, first + Vectors * lanes), in registers.
template <int Vectors, class Gate>
void sum_rows(const Gate& gate, const float* dy, double* values, double* products,
              std::int64_t rows, std::int64_t width) {
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t end = begin + rows_per_flush < rows ? begin + rows_per_flush : rows;
    Batch sum[Vectors], product[Vectors];
    repeat<Vectors>([&](int v) PERCH_INLINE { sum[v] = product[v] = Batch(0.0f); });
    for (std::int64_t row = begin; row < end; ++row) {
      repeat<Vectors>([&](int v) PERCH_INLINE {
        const std::int64_t column = v * lanes, i = row * width + column;
        const Gated element = gate.at(i, column, Whole{});
        const Batch g = masked(Batch::load_unaligned(dy + i), element.open);
        sum[v] += g;
        product[v] = multiply_add(g, element.centred, product[v]);
      });
    }
    repeat<Vectors>([&](int v) PERCH_INLINE {
      flush(sum[v], values + v * lanes);
      flush(product[v], products + v * lanes);
    });
  }
}

/// The same for rows of any width, with the sums in the first cache.
template <class Gate>
void sum_wide_rows(const Gate& gate, const float* dy, double* values, double* products,
                   std::int64_t rows, std::int64_t width) {
  alignas(64) float sum[block_columns], product[block_columns];
  for (std::int64_t begin = 0; begin < rows; begin += rows_per_flush) {
    const std::int64_t end = begin + rows_per_flush < rows ? begin + rows_per_flush : rows;
    for (std::int64_t first = 0; first < width; first += block_columns) {
      const std::int64_t columns = width - first < block_columns ? width - first : block_columns;
      for (std::int64_t c = 0; c < columns; ++c) sum[c] = product[c] = 0.0f;
      for (std::int64_t row = begin; row < end; ++row) {
        for (std::int64_t c = 0; c < columns; c += lanes) {
          const std::int64_t i = row * width + first + c;
          const Gated element = gate.at(i, first + c, Whole{});
          const Batch g = masked(Batch::load_unaligned(dy + i), element.open);
          (Batch::load_aligned(sum + c) + g).store_aligned(sum + c);
          multiply_add(g, element.centred, Batch::load_aligned(product + c))
              .store_aligned(product + c);
        }
      }
      for (std::int64_t c = 0; c < columns; c += lanes) {
        flush(Batch::load_aligned(sum + c), values + first + c);
        flush(Batch::load_aligned(product + c), products + first + c);
      }
    }
  }
}

template <class Gate>
void gradient_sums_of(const Gate& gate, const float* dy, double* values, double* products,
                      std::int64_t n, std::int64_t width) {
  const std::int64_t rows = n / width;
  constexpr int vectors = 4;
  if (lanes >= 16 && width == vectors * lanes) {
    sum_rows<vectors>(gate, dy, values, products, rows, width);
  } else {
    sum_wide_rows(gate, dy, values, products, rows, width);
  }
  const std::int64_t done = rows * width;
  for_columns(n - done, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
    const Gated element = gate.at(done + i, column, access);
    const Batch g = masked(access.load(dy + done + i), element.open);
    alignas(64) float sum[lanes], product[lanes];
    g.store_aligned(sum);
    (g * element.centred).store_aligned(product);
    const std::int64_t count = n - done - i < lanes ? n - done - i : lanes;
    for (std::int64_t j = 0; j < count; ++j) {
      values[column + j] += static_cast<double>(sum[j]);
      products[column + j] += static_cast<double>(product[j]);
    }
  });
}

void gradient_sums(const TailInput& x, const TailGradient& gradient, const float* dy,
                   double* values, double* products, std::int64_t n, std::int64_t width) {
  if (x.codes != nullptr) {
    gradient_sums_of(CodeGate(x, gradient), dy, values, products, n, width);
  } else {
    gradient_sums_of(ValueGate(x, gradient), dy, values, products, n, width);
  }
}

// The `lanes` bits from bit `first` on.
inline Mask bits_at(const std::uint16_t* inside, std::int64_t first) {
  const std::uint16_t* const word = inside + first / 16;
  return mask_of((static_cast<unsigned>(word[0]) | static_cast<unsigned>(word[1]) << 16) >>
                 (first % 16));
}

template <bool normalises, bool has_bits, class Gate>
void gradient_of(const Gate& gate, const TailGradient& gradient, const float* dy,
                 const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
                 std::int64_t width) {
  for_columns(n, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
    const Gated element = gate.at(i, column, access);
    Batch g = masked(access.load(dy + i), element.open);
    if constexpr (normalises) {
      g = multiply_add(-element.centred, Batch::load_unaligned(gradient.slope + column),
                       g - Batch::load_unaligned(gradient.offset + column)) *
          Batch::load_unaligned(gradient.scale + column);
    }
    if constexpr (has_bits) g = masked(g, bits_at(inside, first_bit + i));
    access.store(dx + i, g);
  });
}

void gradient(const TailInput& x, const TailGradient& gradient, const float* dy,
              const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
              std::int64_t width) {
  const auto run = [&](const auto& gate) {
    if (gradient.scale != nullptr && inside != nullptr) {
      gradient_of<true, true>(gate, gradient, dy, inside, first_bit, dx, n, width);
    } else if (gradient.scale != nullptr) {
      gradient_of<true, false>(gate, gradient, dy, inside, first_bit, dx, n, width);
    } else if (inside != nullptr) {
      gradient_of<false, true>(gate, gradient, dy, inside, first_bit, dx, n, width);
    } else {
      gradient_of<false, false>(gate, gradient, dy, inside, first_bit, dx, n, width);
    }
  };
  if (x.codes != nullptr) {
    run(CodeGate(x, gradient));
  } else {
    run(ValueGate(x, gradient));
  }
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
    .gradient_sums = kernels::gradient_sums,
    .gradient = kernels::gradient,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
