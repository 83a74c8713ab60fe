// Stands in for OpenBLAS: reads the environment while it loads and otherwise takes the kernels that
// PERCH_TEST_OWN_CORE names. Its start-up code leaves denormals off, as that of a library built
// with -ffast-math does.
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

std::string from_environment(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

std::string core = from_environment("OPENBLAS_CORETYPE", std::getenv("PERCH_TEST_OWN_CORE"));
std::string config = "OpenBLAS 0.3.21 NUM_THREADS=" + from_environment("OPENBLAS_NUM_THREADS", "?");
int threads = 0;

#if defined(__x86_64__)
[[gnu::constructor]] void start() {
  _mm_setcsr(_mm_getcsr() | 0x8040);
}
#endif

}  // namespace

extern "C" {

char* openblas_get_corename() {
  return core.data();
}

char* openblas_get_config() {
  return config.data();
}

void openblas_set_num_threads(int count) {
  threads = count;
}

int openblas_get_num_threads() {
  return threads;
}

}  // extern "C"
