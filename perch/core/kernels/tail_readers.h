// How tail kernels read elements: from floats or codes, as they are or mapped. For kernel sources
// only.
#pragma once

#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/tail.h>

namespace perch::kernels {
namespace {

// Readers: at(i, column, access) is the vector of elements from i on, which lies in `column` of
// the tables.
struct FromValues {
  explicit FromValues(const TailInput& x) : values(x.values) {}
  template <class Access>
  PERCH_INLINE Batch at(std::int64_t i, std::int64_t, const Access& access) const {
    return access.load(values + i);
  }
  const float* values;
};

struct FromCodes {
  explicit FromCodes(const TailInput& x)
      : codes(x.codes), zero_point(x.zero_point), scale(x.scale) {}
  template <class Access>
  PERCH_INLINE Batch at(std::int64_t i, std::int64_t, const Access& access) const {
    return (access.codes(codes + i) - zero_point) * scale;
  }
  const std::uint8_t* codes;
  Batch zero_point, scale;
};

// A sum of floats over this many rows before it is added to a double. Squares of 8-bit codes stay
// below 2^24, so that their sums are exact.
constexpr std::int64_t rows_per_flush = 64;

/// Adds float sums to double ones.
inline void flush(const Batch& partial, double* sums) {
  const Doubles wide = widen(partial), held = load_doubles(sums);
  store_doubles(sums, {held.low + wide.low, held.high + wide.high});
}

// A table's values for the columns of a row.
struct TableInMemory {
  explicit TableInMemory(const float* values) : from(values) {}
  PERCH_INLINE Batch at(std::int64_t column) const { return Batch::load_unaligned(from + column); }
  const float* from;
};

// The same for `held_width` columns, in registers: for loops that are unrolled over them.
constexpr int held_vectors = 4;
constexpr std::int64_t held_width = held_vectors * lanes;
struct TableInRegisters {
  explicit TableInRegisters(const float* from) {
    repeat<held_vectors>([&](int v)
                             PERCH_INLINE { values[v] = Batch::load_unaligned(from + v * lanes); });
  }
  PERCH_INLINE const Batch& at(std::int64_t column) const { return values[column / lanes]; }
  Batch values[held_vectors];
};

/// Elements of whole rows whose tables fit into registers: where there are enough of these. Wider
/// rows would have to be read in pieces, which memory is slow at.
inline std::int64_t held_elements(std::int64_t n, std::int64_t width) {
  return lanes >= 16 && width == held_width ? n / width * width : 0;
}

/// body(element, column) for the vectors of n elements in whole rows of held_width columns.
template <class Body>
PERCH_INLINE inline void for_held_rows(std::int64_t n, const Body& body) {
  for (std::int64_t row = 0; row < n; row += held_width) {
    repeat<held_vectors>([&](int v) PERCH_INLINE { body(row + v * lanes, v * lanes); });
  }
}

// NaN stays: x86's min and max return the second operand then.
inline Batch limit(const Batch& x, const Batch& low, const Batch& high) {
  return xsimd::min(high, xsimd::max(low, x));
}

template <class Reader, class Table>
struct Mapped {
  Mapped(const TailInput& x, const TailMap& tables)
      : from(x),
        shift(tables.shift),
        factor(tables.factor),
        offset(tables.offset),
        low(tables.low),
        high(tables.high) {}
  template <class Access>
  PERCH_INLINE Batch at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch centred = from.at(i, column, access) - shift.at(column);
    return limit(multiply_add(centred, factor.at(column), offset.at(column)), low, high);
  }
  Reader from;
  Table shift, factor, offset;
  Batch low, high;
};

/// run(reader of map(x)); the map may be null.
template <class Table = TableInMemory, class Run>
inline void with_reader(const TailInput& x, const TailMap* map, const Run& run) {
  if (x.codes != nullptr) {
    map == nullptr ? run(FromCodes(x)) : run(Mapped<FromCodes, Table>(x, *map));
  } else {
    map == nullptr ? run(FromValues(x)) : run(Mapped<FromValues, Table>(x, *map));
  }
}

}  // namespace
}  // namespace perch::kernels
