#include <perch/core/kernels/integer_product.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace perch::kernels {
namespace {

// Pairs of 16-bit numbers: products of 9 bits each, summed in 32.
#if defined(PERCH_ARCH_IS_AVX512)
struct Pairs {
  using Vector = __m512i;
  static Vector load(const std::int32_t* from) { return _mm512_loadu_si512(from); }
  static Vector spread(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Vector plus(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static Vector times(Vector a, Vector b) { return _mm512_mullo_epi32(a, b); }
  static Vector multiply_add(Vector x, Vector w, Vector sum) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
  }
  static Batch to_floats(Vector x) { return _mm512_cvtepi32_ps(x); }
};
#elif defined(PERCH_ARCH_IS_AVX2)
struct Pairs {
  using Vector = __m256i;
  static Vector load(const std::int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Vector spread(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Vector plus(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static Vector times(Vector a, Vector b) { return _mm256_mullo_epi32(a, b); }
  static Vector multiply_add(Vector x, Vector w, Vector sum) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
  }
  static Batch to_floats(Vector x) { return _mm256_cvtepi32_ps(x); }
};
#elif defined(PERCH_ARCH_IS_SSE2)
struct Pairs {
  using Vector = __m128i;
  static Vector load(const std::int32_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static Vector spread(std::int32_t x) { return _mm_set1_epi32(x); }
  static Vector plus(Vector a, Vector b) { return _mm_add_epi32(a, b); }
  static Vector times(Vector a, Vector b) {
    const __m128i even = _mm_mul_epu32(a, b);
    const __m128i odd = _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32));
    return _mm_unpacklo_epi32(_mm_shuffle_epi32(even, 0x08), _mm_shuffle_epi32(odd, 0x08));
  }
  static Vector multiply_add(Vector x, Vector w, Vector sum) {
    return _mm_add_epi32(sum, _mm_madd_epi16(x, w));
  }
  static Batch to_floats(Vector x) { return _mm_cvtepi32_ps(x); }
};
#else
struct Pairs {
  struct Vector {
    std::int32_t of[lanes];
  };
  template <class F>
  static Vector each(F f) {
    Vector result;
    for (std::int64_t i = 0; i < lanes; ++i) result.of[i] = f(i);
    return result;
  }
  static std::int32_t high(std::int32_t pair) { return pair >> 16; }
  static std::int32_t low(std::int32_t pair) { return static_cast<std::int16_t>(pair); }

  static Vector load(const std::int32_t* from) {
    return each([=](std::int64_t i) { return from[i]; });
  }
  static Vector spread(std::int32_t x) {
    return each([=](std::int64_t) { return x; });
  }
  static Vector plus(const Vector& a, const Vector& b) {
    return each([&](std::int64_t i) { return a.of[i] + b.of[i]; });
  }
  static Vector times(const Vector& a, const Vector& b) {
    return each([&](std::int64_t i) { return a.of[i] * b.of[i]; });
  }
  static Vector multiply_add(const Vector& x, const Vector& w, const Vector& sum) {
    return each([&](std::int64_t i) {
      return sum.of[i] + low(x.of[i]) * low(w.of[i]) + high(x.of[i]) * high(w.of[i]);
    });
  }
  static Batch to_floats(const Vector& x) {
    alignas(64) float buffer[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = static_cast<float>(x.of[i]);
    return Batch::load_aligned(buffer);
  }
};
#endif

void forward(const IntegerProduct& product) {
  multiply_windows<IntegerArithmetic<Pairs>>(product);
}

}  // namespace

namespace PERCH_ARCH {

extern const IntegerKernels integer;
const IntegerKernels integer{
    .layout = {.terms = 2, .lanes = lanes},
    .faster = false,
    .forward = kernels::forward,
    .window_sums = nullptr,
};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
