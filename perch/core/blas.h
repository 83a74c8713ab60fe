// OpenBLAS behind one door, always on the calling thread: our own loops are the parallel ones.
#pragma once

#include <cstdint>
#include <string>

namespace perch::blas {

enum class Transpose { no, yes };

/// C [m, n] = alpha op(A) op(B) + beta C, row-major with leading dimensions (row lengths).
void gemm(Transpose trans_a, Transpose trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
          float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
          float beta, float* c, std::int64_t ldc);

/// Who chose OpenBLAS's kernels: the user with OPENBLAS_CORETYPE, perch, or OpenBLAS itself.
enum class ChosenBy { user, perch, openblas };

/// OpenBLAS as it was loaded.
struct Backend {
  std::string version;  ///< for instance "0.3.21"
  std::string core;     ///< the CPU whose kernels it uses, for instance "SkylakeX"
  ChosenBy chosen_by = ChosenBy::openblas;
  std::string replaced;  ///< OpenBLAS's own choice when perch made another, else empty
};

/// The first call of this or of gemm loads the library, once, with environment variables changed
/// for that moment. In a program whose other threads use the environment, call this before they
/// start. Throws Error(failure) when there is no OpenBLAS to load; a later call tries again.
const Backend& backend();

}  // namespace perch::blas
