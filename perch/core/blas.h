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

/// Which of its kernels OpenBLAS uses, for instance "Haswell", and its version.
std::string core_name();
std::string version();

}  // namespace perch::blas
