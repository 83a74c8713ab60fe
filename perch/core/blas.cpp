#include <mutex>

#include <cblas.h>

#include <perch/core/blas.h>

namespace perch::blas {
namespace {

void use_calling_thread_only() {
  static std::once_flag once;
  std::call_once(once, [] { openblas_set_num_threads(1); });
}

}  // namespace

void gemm(Transpose trans_a, Transpose trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
          float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
          float beta, float* c, std::int64_t ldc) {
  use_calling_thread_only();
  const auto flag = [](Transpose t) { return t == Transpose::yes ? CblasTrans : CblasNoTrans; };
  cblas_sgemm(CblasRowMajor, flag(trans_a), flag(trans_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda),
              b, static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

std::string core_name() {
  return openblas_get_corename();
}

std::string version() {
  // "OpenBLAS 0.3.21 NO_LAPACKE ..."
  const std::string config = openblas_get_config();
  const auto start = config.find(' ');
  return start == std::string::npos
             ? config
             : config.substr(start + 1, config.find(' ', start + 1) - start - 1);
}

}  // namespace perch::blas
