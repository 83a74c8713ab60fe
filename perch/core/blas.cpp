#include <cblas.h>

#include <perch/core/blas.h>
#include <perch/core/blas_library.h>

namespace perch::blas {
namespace {

const Library& library() {
  // Once, whichever threads come first, for setenv is not thread-safe; and never unloaded, for some
  // may still multiply when the program ends.
  static const Library& loaded = *new Library(PERCH_OPENBLAS);
  return loaded;
}

}  // namespace

void gemm(Transpose trans_a, Transpose trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
          float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
          float beta, float* c, std::int64_t ldc) {
  static const auto sgemm = library().function<decltype(cblas_sgemm)>("cblas_sgemm");
  const auto flag = [](Transpose t) { return t == Transpose::yes ? CblasTrans : CblasNoTrans; };
  sgemm(CblasRowMajor, flag(trans_a), flag(trans_b), static_cast<blasint>(m),
        static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b,
        static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

const Backend& backend() {
  return library().backend();
}

}  // namespace perch::blas
