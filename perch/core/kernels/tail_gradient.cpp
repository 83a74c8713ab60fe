#include <perch/core/kernels/tail_gradient.h>
#include <perch/core/kernels/tail_readers.h>

namespace perch::kernels {
namespace {

// Columns of a block where data come from memory: whole pieces of rows, one after another.
constexpr std::int64_t block_columns = 512;

/// x - shift, and whether the gate is open, at one vector.
struct Gated {
  Batch centred;
  Mask open;
};

template <class Table>
struct ValueGate {
  ValueGate(const TailInput& x, const TailGradient& gradient)
      : from(x),
        shift(gradient.shift),
        factor(gradient.factor),
        offset(gradient.map_offset),
        low(gradient.low),
        high(gradient.high) {}
  template <class Access>
  PERCH_INLINE Gated at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch centred = from.at(i, column, access) - shift.at(column);
    const Batch mapped = multiply_add(centred, factor.at(column), offset.at(column));
    return {centred, (mapped >= low) & (mapped <= high)};
  }

  FromValues from;
  Table shift, factor, offset;
  Batch low, high;
};

template <class Table>
struct CodeGate {
  CodeGate(const TailInput& x, const TailGradient& gradient)
      : from(x), shift(gradient.shift), low(gradient.code_low), high(gradient.code_high) {}
  template <class Access>
  PERCH_INLINE Gated at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch code = access.codes(from.codes + i);
    const Batch centred = (code - from.zero_point) * from.scale - shift.at(column);
    return {centred, (code >= low.at(column)) & (code <= high.at(column))};
  }

  FromCodes from;
  Table shift, low, high;
};

template <class Table, class Run>
inline void with_gate(const TailInput& x, const TailGradient& gradient, const Run& run) {
  x.codes != nullptr ? run(CodeGate<Table>(x, gradient)) : run(ValueGate<Table>(x, gradient));
}

/// Sums of whole rows of held_width columns, in registers.
template <class Gate>
void sum_held_rows(const Gate& gate, const float* dy, double* values, double* products,
                   std::int64_t n) {
  constexpr std::int64_t most = rows_per_flush * held_width;
  for (std::int64_t first = 0; first < n; first += most) {
    Batch sum[held_vectors], product[held_vectors];
    repeat<held_vectors>([&](int v) PERCH_INLINE { sum[v] = product[v] = Batch(0.0f); });
    for_held_rows(n - first < most ? n - first : most,
                  [&](std::int64_t i, std::int64_t column) PERCH_INLINE {
                    const Gated element = gate.at(first + i, column, Whole{});
                    const Batch g = masked(Batch::load_unaligned(dy + first + i), element.open);
                    const std::int64_t v = column / lanes;
                    sum[v] += g;
                    product[v] = multiply_add(g, element.centred, product[v]);
                  });
    repeat<held_vectors>([&](int v) PERCH_INLINE {
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

void gradient_sums(const TailInput& x, const TailGradient& gradient, const float* dy,
                   double* values, double* products, std::int64_t n, std::int64_t width) {
  const std::int64_t held = held_elements(n, width);
  if (held > 0) {
    with_gate<TableInRegisters>(
        x, gradient, [&](const auto& gate) { sum_held_rows(gate, dy, values, products, held); });
  }
  with_gate<TableInMemory>(x, gradient, [&](const auto& gate) {
    const std::int64_t done = n / width * width;
    if (held < done) sum_wide_rows(gate, dy, values, products, n / width, width);
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
  });
}

// The `lanes` bits from bit `first` on.
inline Mask bits_at(const std::uint16_t* inside, std::int64_t first) {
  const std::uint16_t* const word = inside + first / 16;
  return mask_of((static_cast<unsigned>(word[0]) | static_cast<unsigned>(word[1]) << 16) >>
                 (first % 16));
}

/// dx of one vector.
template <class Table, bool normalises, bool has_bits, class Gate>
struct Backward {
  Backward(const TailInput& x, const TailGradient& gradient)
      : gate(x, gradient), offset(gradient.offset), slope(gradient.slope), scale(gradient.scale) {}
  template <class Access>
  PERCH_INLINE void at(std::int64_t i, std::int64_t column, const Access& access, const float* dy,
                       const std::uint16_t* inside, std::int64_t first_bit, float* dx) const {
    const Gated element = gate.at(i, column, access);
    Batch g = masked(access.load(dy + i), element.open);
    if constexpr (normalises) {
      g = multiply_add(-element.centred, slope.at(column), g - offset.at(column)) *
          scale.at(column);
    }
    if constexpr (has_bits) g = masked(g, bits_at(inside, first_bit + i));
    access.store(dx + i, g);
  }

  Gate gate;
  Table offset, slope, scale;
};

template <bool normalises, bool has_bits, template <class> class Gate>
void gradient_of(const TailInput& x, const TailGradient& gradient, const float* dy,
                 const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
                 std::int64_t width) {
  const std::int64_t held = normalises ? held_elements(n, width) : 0;
  if constexpr (normalises) {
    if (held > 0) {
      const Backward<TableInRegisters, true, has_bits, Gate<TableInRegisters>> back(x, gradient);
      for_held_rows(held, [&](std::int64_t i, std::int64_t column) PERCH_INLINE {
        back.at(i, column, Whole{}, dy, inside, first_bit, dx);
      });
    }
  }
  const Backward<TableInMemory, normalises, has_bits, Gate<TableInMemory>> back(x, gradient);
  for_columns(n - held, width, [&](std::int64_t i, std::int64_t column, const auto& access) {
    back.at(held + i, column, access, dy, inside, first_bit, dx);
  });
}

template <template <class> class Gate>
void gradient_through(const TailInput& x, const TailGradient& gradient, const float* dy,
                      const std::uint16_t* inside, std::int64_t first_bit, float* dx,
                      std::int64_t n, std::int64_t width) {
  const auto run = [&](auto normalises, auto has_bits) {
    gradient_of<decltype(normalises)::value, decltype(has_bits)::value, Gate>(
        x, gradient, dy, inside, first_bit, dx, n, width);
  };
  constexpr std::true_type yes;
  constexpr std::false_type no;
  if (gradient.scale != nullptr) {
    inside != nullptr ? run(yes, yes) : run(yes, no);
  } else {
    inside != nullptr ? run(no, yes) : run(no, no);
  }
}

void gradient(const TailInput& x, const TailGradient& gradient, const float* dy,
              const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
              std::int64_t width) {
  (x.codes != nullptr ? gradient_through<CodeGate> : gradient_through<ValueGate>)(x, gradient, dy,
                                                                                  inside, first_bit,
                                                                                  dx, n, width);
}

}  // namespace

namespace PERCH_ARCH {

extern const TailGradientKernels tail_gradient;
const TailGradientKernels tail_gradient{.sums = kernels::gradient_sums,
                                        .gradient = kernels::gradient};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
