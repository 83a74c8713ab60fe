// The kernels of one instruction set, and which one is in use.
#pragma once

#include <string_view>
#include <vector>

#include <perch/core/kernels/conv.h>
#include <perch/core/kernels/dense.h>
#include <perch/core/kernels/elementwise.h>
#include <perch/core/kernels/integer.h>
#include <perch/core/kernels/join.h>
#include <perch/core/kernels/norm.h>
#include <perch/core/kernels/optimize.h>
#include <perch/core/kernels/peak.h>
#include <perch/core/kernels/pool.h>
#include <perch/core/kernels/quantize.h>
#include <perch/core/kernels/step.h>
#include <perch/core/kernels/tail.h>
#include <perch/core/kernels/tail_gradient.h>

namespace perch::kernels {

struct Table {
  std::string_view arch;  ///< "sse2", "avx2", "avx512" or "generic"
  const ElementwiseKernels& elementwise;
  const QuantizeKernels& quantize;
  const StepKernels& step;
  const NormKernels& norm;
  const PoolKernels& pool;
  const ConvKernels& conv;
  const DenseKernels& dense;
  const OptimizeKernels& optimize;
  const TailKernels& tail;
  const TailGradientKernels& tail_gradient;
  const JoinKernels& join;
  const IntegerKernels& integer;
  const PeakKernels& peak;
};

/// Tables that this CPU and its operating system can run, best last.
const std::vector<Table>& available();

/// The table in use: the best available one, or what PERCH_FORCE_ARCH names.
/// Throws Error(usage) when that is unknown or cannot run here.
const Table& active();

/// Uses another table until it goes out of scope. For tests; not while kernels run.
class ScopedArch {
 public:
  explicit ScopedArch(std::string_view arch);
  ~ScopedArch();
  ScopedArch(const ScopedArch&) = delete;
  ScopedArch& operator=(const ScopedArch&) = delete;

 private:
  const Table* former_;
};

}  // namespace perch::kernels
