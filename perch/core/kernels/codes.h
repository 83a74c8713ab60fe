// For kernel sources: 8-bit codes and masks of bits in memory, sixteen neighbouring elements at a
// time whatever the vector's width.
#pragma once

#include <perch/core/kernels/blocks.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace perch::kernels {
namespace {

using Mask = xsimd::batch_bool<float, Arch>;

// Elements to a word of mask bits, and lanes of the widest vector.
constexpr std::int64_t group = 16;
constexpr int parts = static_cast<int>(group / lanes);
static_assert(group % lanes == 0);

/// The next `lanes` codes as floats.
inline Batch load_codes(const std::uint8_t* from) {
#if defined(PERCH_ARCH_IS_AVX512)
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(PERCH_ARCH_IS_AVX2)
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
  alignas(64) float buffer[lanes];
  for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = static_cast<float>(from[i]);
  return Batch::load_aligned(buffer);
#endif
}

/// Whole numbers in [0, 255].
inline void store_codes(std::uint8_t* to, const Batch& codes) {
#if defined(PERCH_ARCH_IS_AVX512)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(codes)));
#elif defined(PERCH_ARCH_IS_AVX2)
  const __m256i whole = _mm256_cvtps_epi32(codes);
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
#else
  alignas(64) float buffer[lanes];
  codes.store_aligned(buffer);
  for (std::int64_t i = 0; i < lanes; ++i) to[i] = static_cast<std::uint8_t>(buffer[i]);
#endif
}

/// Bit i: lane i.
inline unsigned bits_of(const Mask& mask) {
#if defined(PERCH_ARCH_IS_AVX512)
  return static_cast<unsigned>(mask.data);
#elif defined(PERCH_ARCH_IS_AVX2)
  return static_cast<unsigned>(_mm256_movemask_ps(mask));
#elif defined(PERCH_ARCH_IS_SSE2)
  return static_cast<unsigned>(_mm_movemask_ps(mask));
#else
  alignas(64) float buffer[lanes];
  xsimd::select(mask, Batch(1.0f), Batch(0.0f)).store_aligned(buffer);
  unsigned bits = 0;
  for (std::int64_t i = 0; i < lanes; ++i) bits |= static_cast<unsigned>(buffer[i] != 0.0f) << i;
  return bits;
#endif
}

inline Mask mask_of(unsigned bits) {
#if defined(PERCH_ARCH_IS_AVX512)
  return Mask(static_cast<__mmask16>(bits));
#elif defined(PERCH_ARCH_IS_AVX2)
  const __m256i place = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), place);
  return Mask(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, place)));
#else
  alignas(64) float buffer[lanes];
  for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = static_cast<float>(bits >> i & 1u);
  return Batch::load_aligned(buffer) != Batch(0.0f);
#endif
}

/// dy where inside, else zeros. A product, not a selection: TensorFlow's zeros carry the sign of
/// dy.
PERCH_INLINE inline Batch masked(const Batch& dy, const Mask& inside) {
#if defined(PERCH_ARCH_IS_AVX512)
  return _mm512_mask_mul_ps(dy, _knot_mask16(inside.data), dy, _mm512_setzero_ps());
#else
  return dy * xsimd::select(inside, Batch(1.0f), Batch(0.0f));
#endif
}

/// The lanes of a vector in double.
struct Doubles {
  using Half = xsimd::batch<double, Arch>;
  Half low, high;
};

inline Doubles widen(const Batch& x) {
#if defined(PERCH_ARCH_IS_AVX512)
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
          _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
#elif defined(PERCH_ARCH_IS_AVX2)
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
#elif defined(PERCH_ARCH_IS_SSE2)
  return {_mm_cvtps_pd(x), _mm_cvtps_pd(_mm_movehl_ps(x, x))};
#else
  alignas(64) float buffer[lanes];
  alignas(64) double wide[lanes];
  x.store_aligned(buffer);
  for (std::int64_t i = 0; i < lanes; ++i) wide[i] = static_cast<double>(buffer[i]);
  return {Doubles::Half::load_aligned(wide), Doubles::Half::load_aligned(wide + lanes / 2)};
#endif
}

inline Doubles::Half multiply_add(const Doubles::Half& x, const Doubles::Half& y,
                                  const Doubles::Half& z) {
#if defined(PERCH_ARCH_IS_AVX512)
  return _mm512_fmadd_pd(x, y, z);
#else
  return xsimd::fma(x, y, z);
#endif
}

inline Doubles load_doubles(const double* from) {
  return {Doubles::Half::load_unaligned(from), Doubles::Half::load_unaligned(from + lanes / 2)};
}
inline void store_doubles(double* to, const Doubles& x) {
  x.low.store_unaligned(to);
  x.high.store_unaligned(to + lanes / 2);
}

/// Access to the part of a group of sixteen that one vector takes: all of it.
struct Whole {
  Batch load(const float* from) const { return Batch::load_unaligned(from); }
  void store(float* to, const Batch& value) const { value.store_unaligned(to); }
  Batch codes(const std::uint8_t* from) const { return load_codes(from); }
  void store(std::uint8_t* to, const Batch& codes) const { store_codes(to, codes); }
};

/// The first `count` lanes, at least one: the others read as the first and are not written.
struct Partly {
  std::int64_t count;

  Batch load(const float* from) const {
    alignas(64) float buffer[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = from[i < count ? i : 0];
    return Batch::load_aligned(buffer);
  }
  void store(float* to, const Batch& value) const { store_part(to, value, count); }
  Batch codes(const std::uint8_t* from) const {
    std::uint8_t buffer[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = from[i < count ? i : 0];
    return load_codes(buffer);
  }
  void store(std::uint8_t* to, const Batch& codes) const {
    std::uint8_t buffer[lanes];
    store_codes(buffer, codes);
    for (std::int64_t i = 0; i < count; ++i) to[i] = buffer[i];
  }
};

/// body(element, column, access) for each vector of n elements that lie in rows of `width` columns,
/// the first of them in column 0 of tables that start where the caller wants them to.
template <class Body>
inline void for_columns(std::int64_t n, std::int64_t width, const Body& body) {
  for (std::int64_t row = 0; row < n; row += width) {
    const std::int64_t columns = n - row < width ? n - row : width;
    std::int64_t column = 0;
    for (; column + lanes <= columns; column += lanes) body(row + column, column, Whole{});
    if (column < columns) body(row + column, column, Partly{columns - column});
  }
}

}  // namespace
}  // namespace perch::kernels
