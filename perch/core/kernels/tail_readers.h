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

// NaN stays: x86's min and max return the second operand then.
inline Batch limit(const Batch& x, const Batch& low, const Batch& high) {
  return xsimd::min(high, xsimd::max(low, x));
}

template <class Reader>
struct Mapped {
  Mapped(const TailInput& x, const TailMap& tables)
      : from(x), map(tables), low(tables.low), high(tables.high) {}
  template <class Access>
  PERCH_INLINE Batch at(std::int64_t i, std::int64_t column, const Access& access) const {
    const Batch centred = from.at(i, column, access) - Batch::load_unaligned(map.shift + column);
    return limit(multiply_add(centred, Batch::load_unaligned(map.factor + column),
                              Batch::load_unaligned(map.offset + column)),
                 low, high);
  }
  Reader from;
  TailMap map;
  Batch low, high;
};

/// run(reader of map(x)); the map may be null.
template <class Run>
inline void with_reader(const TailInput& x, const TailMap* map, const Run& run) {
  if (x.codes != nullptr) {
    map == nullptr ? run(FromCodes(x)) : run(Mapped<FromCodes>(x, *map));
  } else {
    map == nullptr ? run(FromValues(x)) : run(Mapped<FromValues>(x, *map));
  }
}

}  // namespace
}  // namespace perch::kernels
