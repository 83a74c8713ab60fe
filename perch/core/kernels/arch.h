// What one compilation of the kernels is for. Every *.cpp beside this header is compiled once per
// instruction set (see CMakeLists.txt in this folder) with PERCH_ARCH set to its name. Kernels see
// only pointers and small structs, and live in anonymous namespaces: nothing that was compiled for
// one instruction set may be merged with, or called from, code for another.
#pragma once

#include <cstddef>
#include <cstdint>

#include <xsimd/xsimd.hpp>

#ifndef PERCH_ARCH
#error "PERCH_ARCH names the namespace of this compilation: sse2, avx2, avx512 or generic"
#endif

namespace perch::kernels {
namespace {

#if defined(PERCH_ARCH_IS_AVX512)
using Arch = xsimd::avx512bw;
#elif defined(PERCH_ARCH_IS_AVX2)
using Arch = xsimd::fma3<xsimd::avx2>;
#elif defined(PERCH_ARCH_IS_SSE2)
using Arch = xsimd::sse2;
#else
using Arch = xsimd::default_arch;
#endif

using Batch = xsimd::batch<float, Arch>;
constexpr std::int64_t lanes = static_cast<std::int64_t>(Batch::size);

/// x * y + z in one rounding where the instruction set can. xsimd 8.1 knows no AVX-512 FMA: its
/// xsimd::fma is a product and a sum there.
inline Batch multiply_add(const Batch& x, const Batch& y, const Batch& z) {
#if defined(PERCH_ARCH_IS_AVX512)
  return _mm512_fmadd_ps(x, y, z);
#else
  return xsimd::fma(x, y, z);
#endif
}

}  // namespace
}  // namespace perch::kernels
