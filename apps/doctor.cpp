// perch doctor: what perch runs on here.
#include <algorithm>
#include <chrono>

#include <CLI/CLI.hpp>
#include <H5public.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/version.h>
#include <xsimd/config/xsimd_config.hpp>
#include <xtensor/xtensor_config.hpp>

#include <perch/core/blas.h>
#include <perch/core/error.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/tensor.h>
#include <perch/datasets/cifar10.h>

#include "commands.h"
#include "flags.h"
#include "machine.h"

using namespace perch;

namespace {

/// Of one thread, the best of a few products of square matrices.
double sgemm_gflops() {
  constexpr std::int64_t n = 512;
  const Tensor a = Tensor::full({n, n}, 0.5f), b = Tensor::full({n, n}, 0.25f);
  Tensor c({n, n});
  double best = 0.0;
  for (int run = 0; run < 8; ++run) {
    const auto start = std::chrono::steady_clock::now();
    blas::gemm(blas::Transpose::no, blas::Transpose::no, n, n, n, 1.0f, a.data(), n, b.data(), n,
               0.0f, c.data(), n);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * n * n * n / seconds.count() / 1e9);
  }
  return best;
}

/// Who chose OpenBLAS's kernels, for --json and in words.
struct Chooser {
  std::string name, text;
};

Chooser chooser(const blas::Backend& backend) {
  switch (backend.chosen_by) {
    case blas::ChosenBy::user:
      return {"user", "as OPENBLAS_CORETYPE says"};
    case blas::ChosenBy::perch:
      return {"perch", "chosen by perch over " + backend.replaced};
    case blas::ChosenBy::openblas:
      break;
  }
  return {"openblas", "OpenBLAS's own choice"};
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

/// What is found without --data, or why nothing is.
std::string data_found() {
  try {
    const TrainTest sets = datasets::cifar10();
    return fmt::format("{} training and {} test images", sets.train.size(), sets.test.size());
  } catch (const Error& error) {
    return error.what();
  }
}

void doctor(Output& output) {
  std::vector<std::string> sets;
  for (const auto& table : kernels::available()) sets.emplace_back(table.arch);
  const std::string in_use(kernels::active().arch);
  const double gflops = sgemm_gflops();
  const blas::Backend& backend = blas::backend();
  const std::string tbb = TBB_runtime_version();
  const std::string xsimd =
      fmt::format("{}.{}.{}", XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH);
  const std::string xtensor =
      fmt::format("{}.{}.{}", XTENSOR_VERSION_MAJOR, XTENSOR_VERSION_MINOR, XTENSOR_VERSION_PATCH);
  const std::string data = data_found();
  output.event({{"event", "result"},
                {"version", PERCH_VERSION},
                {"compiler", compiler()},
                {"cpu", cpu_name()},
                {"instruction_sets", sets},
                {"instruction_set", in_use},
                {"threads", thread_count()},
                {"blas", backend.version},
                {"blas_core", backend.core},
                {"blas_core_chosen_by", chooser(backend).name},
                {"blas_gflops", gflops},
                {"hdf5", hdf5_version()},
                {"tbb", tbb},
                {"xsimd", xsimd},
                {"xtensor", xtensor},
                {"data", data}});
  output.text(
      fmt::format("perch            {}, built with {}\n"
                  "CPU              {}\n"
                  "instruction set  {} (of {}; PERCH_FORCE_ARCH chooses another)\n"
                  "threads          {}\n"
                  "BLAS             OpenBLAS {}; {} kernels, {}; {:.0f} GFLOP/s on one thread\n"
                  "HDF5 {}, oneTBB {}, xsimd {}, xtensor {}\n"
                  "data             {}\n",
                  PERCH_VERSION, compiler(), cpu_name(), in_use, fmt::join(sets, ", "),
                  thread_count(), backend.version, backend.core, chooser(backend).text, gflops,
                  hdf5_version(), tbb, xsimd, xtensor, data));
}

}  // namespace

Command add_doctor(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("doctor", "What perch runs on: CPU, kernels, versions");
  app->footer("Example:\n  perch doctor");
  return {app, [](Output& output) { doctor(output); }};
}
