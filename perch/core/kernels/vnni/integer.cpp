// The integer product on AVX-512 CPUs with VNNI: four 8-bit terms per instruction. In a file of its
// own, compiled with that flag and used only where the CPU says so.
#include <immintrin.h>

#include <perch/core/kernels/integer_product.h>

namespace perch::kernels {
namespace {

struct Quads {
  using Vector = __m512i;
  static Vector load(const std::int32_t* from) { return _mm512_loadu_si512(from); }
  static Vector spread(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Vector plus(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static Vector times(Vector a, Vector b) { return _mm512_mullo_epi32(a, b); }
  static Vector multiply_add(Vector x, Vector w, Vector sum) {
    return _mm512_dpbusd_epi32(sum, x, w);
  }
  static Batch to_floats(Vector x) { return _mm512_cvtepi32_ps(x); }
};

void forward(const IntegerProduct& product) {
  multiply_windows<IntegerArithmetic<Quads>>(product);
}

constexpr std::int64_t vector_words = 16;

// Sums of the bytes of each word of a vector.
inline __m512i word_sums(__m512i bytes) {
  return _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes, _mm512_set1_epi8(1));
}

// Pixels of 1, 2, 4, 8 or 16 words side by side: a vector holds several.
template <int words>
void small_pixel_sums(const std::int32_t* input, std::int64_t count, std::int32_t* sums) {
  constexpr std::int64_t pixels = vector_words / words;
  constexpr __mmask16 firsts = words == 1   ? 0xffff
                               : words == 2 ? 0x5555
                               : words == 4 ? 0x1111
                               : words == 8 ? 0x0101
                                            : 0x0001;
  for (std::int64_t i = 0; i < count; i += pixels) {
    const std::int64_t left = count - i < pixels ? count - i : pixels;
    const auto readable = static_cast<__mmask16>((1u << (left * words)) - 1u);
    __m512i sum = word_sums(_mm512_maskz_loadu_epi32(readable, input + i * words));
    if constexpr (words >= 2) sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_CDAB));
    if constexpr (words >= 4) sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
    if constexpr (words >= 8) sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xb1));
    if constexpr (words >= 16) sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0x4e));
    _mm512_mask_storeu_epi32(sums + i, static_cast<__mmask16>((1u << left) - 1u),
                             _mm512_maskz_compress_epi32(firsts, sum));
  }
}

std::int32_t pixel_sum(const std::int32_t* input, std::int64_t words) {
  __m512i sum = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  std::int64_t i = 0;
  for (; i + vector_words <= words; i += vector_words) {
    sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(input + i), ones);
  }
  const auto rest = static_cast<__mmask16>((1u << (words - i)) - 1u);
  sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi32(rest, input + i), ones);
  return _mm512_reduce_add_epi32(sum);
}

void pixel_sums(const WindowSums& job, const std::int32_t* input, std::int64_t count,
                std::int32_t* sums) {
  if (job.pitch == job.words) {
    switch (job.words) {
      case 1:
        return small_pixel_sums<1>(input, count, sums);
      case 2:
        return small_pixel_sums<2>(input, count, sums);
      case 4:
        return small_pixel_sums<4>(input, count, sums);
      case 8:
        return small_pixel_sums<8>(input, count, sums);
      case 16:
        return small_pixel_sums<16>(input, count, sums);
      default:
        break;
    }
  }
  for (std::int64_t i = 0; i < count; ++i) sums[i] = pixel_sum(input + i * job.pitch, job.words);
}

void window_sums(const WindowSums& job) {
  std::int32_t* to = job.sums;
  const bool single = job.tap_rows == 1 && job.tap_cols == 1 && job.col_step == 1;
  for (std::int64_t image = 0; image < job.images; ++image) {
    const std::int32_t* const input = job.input + image * job.in_image;
    if (!single) {
      for (std::int64_t row = 0; row < job.band_rows; ++row) {
        pixel_sums(job, input + row * job.in_row, job.band_cols, job.pixels + row * job.band_cols);
      }
    }
    for (std::int64_t row = 0; row < job.rows; ++row, to += job.cols) {
      if (single) {
        pixel_sums(job, input + row * job.row_step * job.in_row, job.cols, to);
        continue;
      }
      for (std::int64_t col = 0; col < job.cols; ++col) to[col] = 0;
      for (std::int64_t i = 0; i < job.tap_rows; ++i) {
        const std::int32_t* const from =
            job.pixels + (row * job.row_step + i * job.tap_row_step) * job.band_cols;
        for (std::int64_t j = 0; j < job.tap_cols; ++j) {
          const std::int32_t* const tap = from + j * job.tap_col_step;
          if (job.col_step == 1) {
            for (std::int64_t col = 0; col < job.cols; ++col) to[col] += tap[col];
          } else {
            for (std::int64_t col = 0; col < job.cols; ++col) to[col] += tap[col * job.col_step];
          }
        }
      }
    }
  }
}

}  // namespace

namespace avx512vnni {

extern const IntegerKernels integer;
const IntegerKernels integer{
    .layout = {.terms = 4, .lanes = lanes},
    .faster = true,
    .forward = kernels::forward,
    .window_sums = kernels::window_sums,
};

}  // namespace avx512vnni
}  // namespace perch::kernels
