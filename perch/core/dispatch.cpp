// Run-time choice of the instruction set (perch/core/kernels/table.h). Outside of kernels/, whose
// sources are all compiled once per instruction set.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/suggest.h>

namespace perch::kernels {

#define PERCH_DECLARE_KERNELS(arch)               \
  namespace arch {                                \
  extern const ElementwiseKernels elementwise;    \
  extern const QuantizeKernels quantize;          \
  extern const StepKernels step;                  \
  extern const NormKernels norm;                  \
  extern const PoolKernels pool;                  \
  extern const ConvKernels conv;                  \
  extern const DenseKernels dense;                \
  extern const OptimizeKernels optimize;          \
  extern const TailKernels tail;                  \
  extern const TailGradientKernels tail_gradient; \
  extern const JoinKernels join;                  \
  extern const IntegerKernels integer;            \
  extern const PeakKernels peak;                  \
  }
#define PERCH_KERNEL_TABLE(arch, integers)                                                    \
  Table {                                                                                     \
#arch, arch::elementwise, arch::quantize, arch::step, arch::norm, arch::pool, arch::conv, \
        arch::dense, arch::optimize, arch::tail, arch::tail_gradient, arch::join, integers,   \
        arch::peak                                                                            \
  }

#if defined(PERCH_X86_KERNELS)
PERCH_DECLARE_KERNELS(sse2)
PERCH_DECLARE_KERNELS(avx2)
PERCH_DECLARE_KERNELS(avx512)
namespace avx512vnni {
extern const IntegerKernels integer;
}
#else
PERCH_DECLARE_KERNELS(generic)
#endif

namespace {

std::vector<Table> detect() {
#if defined(PERCH_X86_KERNELS)
  // __builtin_cpu_supports asks the operating system (XCR0) too, unlike xsimd 8.1's detection.
  std::vector<Table> tables{PERCH_KERNEL_TABLE(sse2, sse2::integer)};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(PERCH_KERNEL_TABLE(avx2, avx2::integer));
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
      const bool vnni = __builtin_cpu_supports("avx512vnni");
      tables.push_back(PERCH_KERNEL_TABLE(avx512, vnni ? avx512vnni::integer : avx512::integer));
    }
  }
  return tables;
#else
  return {PERCH_KERNEL_TABLE(generic, generic::integer)};
#endif
}

const Table& find(std::string_view arch) {
  for (const Table& table : available()) {
    if (table.arch == arch) return table;
  }
  std::vector<std::string> names;
  for (const Table& table : available()) names.emplace_back(table.arch);
  fail(ErrorCode::usage, "PERCH_FORCE_ARCH: this machine cannot run \"{}\"; it has {}", arch,
       choices(arch, names));
}

std::atomic<const Table*>& current() {
  static std::atomic<const Table*> table = [] {
    const char* const forced = std::getenv("PERCH_FORCE_ARCH");
    return forced != nullptr && *forced != '\0' ? &find(forced) : &available().back();
  }();
  return table;
}

}  // namespace

const std::vector<Table>& available() {
  static const std::vector<Table> tables = detect();
  return tables;
}

const Table& active() {
  return *current().load(std::memory_order_relaxed);
}

ScopedArch::ScopedArch(std::string_view arch) : former_(current().exchange(&find(arch))) {}
ScopedArch::~ScopedArch() {
  current() = former_;
}

}  // namespace perch::kernels
