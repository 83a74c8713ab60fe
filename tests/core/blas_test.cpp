#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#include <perch/core/blas_library.h>

#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;
using blas::ChosenBy;
using blas::Library;
using blas::Transpose;

namespace {

/// A row-major matrix whose rows are longer than they need be; NaN fills what is over.
struct Matrix {
  Matrix(std::int64_t row_count, std::int64_t col_count, unsigned seed)
      : cols(col_count), stride(col_count + 3), values(row_count * stride, NAN) {
    for (std::int64_t row = 0; row < row_count; ++row) {
      for (std::int64_t col = 0; col < cols; ++col) {
        seed = seed * 1664525u + 1013904223u;
        values[row * stride + col] = static_cast<float>(seed >> 8) / (1 << 23) - 1.0f;
      }
    }
  }
  double at(std::int64_t row, std::int64_t col) const { return values[row * stride + col]; }

  std::int64_t cols, stride;
  std::vector<float> values;
};

std::string value_of(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr ? value : "unset";
}

/// Sets an environment variable, or unsets it, until this goes.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* const former = std::getenv(name)) former_ = former, had_ = true;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~ScopedVariable() { had_ ? setenv(name_, former_.c_str(), 1) : unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::string former_;
  bool had_ = false;
};

}  // namespace

TEST_CASE("gemm agrees with the naive product, transposed, strided and added to") {
  const auto [m, n, k] = GENERATE(table<std::int64_t, std::int64_t, std::int64_t>(
      {{1, 1, 1}, {3, 5, 7}, {64, 256, 100}, {33, 17, 300}, {130, 70, 2}}));
  const auto trans_a = GENERATE(Transpose::no, Transpose::yes);
  const auto trans_b = GENERATE(Transpose::no, Transpose::yes);
  const auto beta = GENERATE(0.0f, 1.0f, -0.5f);
  const bool turn_a = trans_a == Transpose::yes, turn_b = trans_b == Transpose::yes;
  INFO(m << " x " << n << " x " << k << (turn_a ? " T" : " N") << (turn_b ? "T" : "N"));
  const Matrix a(turn_a ? k : m, turn_a ? m : k, 1), b(turn_b ? n : k, turn_b ? k : n, 2);
  const Matrix before(m, n, 3);
  Matrix c = before;
  if (beta == 0.0f) c.values.assign(c.values.size(), NAN);  // must not be read
  blas::gemm(trans_a, trans_b, m, n, k, 1.5f, a.values.data(), a.stride, b.values.data(), b.stride,
             beta, c.values.data(), c.stride);
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t col = 0; col < c.stride; ++col) {
      if (col >= n) {
        REQUIRE(std::isnan(c.at(row, col)));
        continue;
      }
      double sum = 0.0;
      for (std::int64_t i = 0; i < k; ++i) {
        sum += (turn_a ? a.at(i, row) : a.at(row, i)) * (turn_b ? b.at(col, i) : b.at(i, col));
      }
      const double added = beta == 0.0f ? 0.0 : beta * before.at(row, col);
      REQUIRE(c.at(row, col) == Approx(1.5 * sum + added).margin(1e-6 * (k + 1)));
    }
  }
}

TEST_CASE("an OpenBLAS that is not there, or is none, is an error with the remedy") {
  for (const char* const name : {"libnonesuch.so.0", "libm.so.6"}) {
    CHECK_THAT(error_of(ErrorCode::failure, [&] { const Library library(name); }),
               Catch::Contains(name) && Catch::Contains("libopenblas0-pthread"));
  }
}

TEST_CASE("OpenBLAS starts with one thread and is told to keep to one") {
  const ScopedVariable own("PERCH_TEST_OWN_CORE", "Prescott");
  for (const char* const users : {static_cast<const char*>(nullptr), "3"}) {
    const ScopedVariable set("OPENBLAS_NUM_THREADS", users);
    const Library library(PERCH_TEST_OPENBLAS);
    CHECK(library.function<int()>("openblas_get_num_threads")() == 1);
    CHECK_THAT(library.function<char*()>("openblas_get_config")(),
               Catch::EndsWith(users != nullptr ? "THREADS=3" : "THREADS=1"));
    CHECK(value_of("OPENBLAS_NUM_THREADS") == (users != nullptr ? "3" : "unset"));
  }
}

TEST_CASE("the user's choice of kernels stays") {
  const ScopedVariable own("PERCH_TEST_OWN_CORE", "Prescott");
  const ScopedVariable users("OPENBLAS_CORETYPE", "Nehalem");
  const Library library(PERCH_TEST_OPENBLAS);
  CHECK(library.backend().version == "0.3.21");
  CHECK(library.backend().core == "Nehalem");
  CHECK(library.backend().chosen_by == ChosenBy::user);
  CHECK(value_of("OPENBLAS_CORETYPE") == "Nehalem");
}

#if defined(__x86_64__)
TEST_CASE("kernels older than the CPU are replaced, and the environment is as before") {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  const auto [core, replaced] = GENERATE_COPY(table<std::string, bool>({{"Prescott", avx2},
                                                                        {"Sandybridge", avx2},
                                                                        {"Haswell", avx512},
                                                                        {"Zen", avx512},
                                                                        {"Cooperlake", false},
                                                                        {"NotYetKnown", false}}));
  INFO(core);
  const ScopedVariable own("PERCH_TEST_OWN_CORE", core.c_str());
  const ScopedVariable unset("OPENBLAS_CORETYPE", nullptr);
  const Library library(PERCH_TEST_OPENBLAS);
  CHECK(library.backend().core == (!replaced ? core : avx512 ? "SkylakeX" : "Haswell"));
  CHECK(library.backend().chosen_by == (replaced ? ChosenBy::perch : ChosenBy::openblas));
  CHECK(library.backend().replaced == (replaced ? core : ""));
  CHECK(value_of("OPENBLAS_CORETYPE") == "unset");
}

TEST_CASE("loading OpenBLAS leaves denormals as they are") {
  const ScopedVariable own("PERCH_TEST_OWN_CORE", "Prescott");
  const Library library(PERCH_TEST_OPENBLAS);
  volatile float tiny = std::numeric_limits<float>::min();
  CHECK(tiny / 2 != 0.0f);
}
#endif
