#include <algorithm>
#include <array>
#include <cfenv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <cblas.h>
#include <dlfcn.h>
#include <strings.h>

#include <perch/core/blas_library.h>
#include <perch/core/check.h>

namespace perch::blas {
namespace {

constexpr const char* core_variable = "OPENBLAS_CORETYPE";
constexpr const char* threads_variable = "OPENBLAS_NUM_THREADS";

/// Sets an environment variable that is not set, for as long as this object lives.
class EnvironmentDefault {
 public:
  EnvironmentDefault(const char* name, const char* value)
      : name_(std::getenv(name) == nullptr ? name : nullptr) {
    if (name_ != nullptr) setenv(name_, value, 0);
  }
  ~EnvironmentDefault() {
    if (name_ != nullptr) unsetenv(name_);
  }
  EnvironmentDefault(const EnvironmentDefault&) = delete;
  EnvironmentDefault& operator=(const EnvironmentDefault&) = delete;

 private:
  const char* name_;
};

/// The core to ask for in the place of OpenBLAS's own choice, or nullptr where that is right.
const char* better_core([[maybe_unused]] std::string_view own) {
#if defined(__x86_64__)
  // Before 0.3.25 Prescott is what Intel's CPUs of an unknown model get (Raptor Lake, Emerald
  // Rapids). A name that is in neither list is of a newer CPU, and stays.
  constexpr std::array<std::string_view, 15> before_avx2 = {
      "Prescott", "Atom",        "Core2",        "Penryn",     "Dunnington",
      "Nehalem",  "Opteron",     "Opteron_SSE3", "Barcelona",  "Nano",
      "Bobcat",   "Sandybridge", "Bulldozer",    "Piledriver", "Steamroller"};
  constexpr std::array<std::string_view, 2> of_avx2 = {"Haswell", "Zen"};
  const auto one_of = [own](const auto& names) {
    return std::find(names.begin(), names.end(), own) != names.end();
  };
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return nullptr;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  // Cooperlake's single-precision products are SkylakeX's, and 0.3.21 does not know it by name.
  if (avx512 && (one_of(before_avx2) || one_of(of_avx2))) return "SkylakeX";
  if (one_of(before_avx2)) return "Haswell";
#endif
  return nullptr;
}

}  // namespace

Library::Library(const char* name) : name_(name) {
  const char* const set = std::getenv(core_variable);
  const auto wish = set != nullptr ? std::optional<std::string>(set) : std::nullopt;
  // set_num_threads below would come too late to keep its threads from being started.
  const EnvironmentDefault one_thread(threads_variable, "1");
  handle_ = open(name_);
  backend_.version = version();
  backend_.core = core();
  if (wish) {
    // It passes over a name that it does not know.
    if (strcasecmp(wish->c_str(), backend_.core.c_str()) == 0) backend_.chosen_by = ChosenBy::user;
  } else if (const char* const better = better_core(backend_.core)) {
    const EnvironmentDefault asked_for(core_variable, better);
    const std::string own = backend_.core;
    handle_.reset();
    handle_ = open(name_);
    backend_.core = core();
    if (backend_.core == better) {
      backend_.chosen_by = ChosenBy::perch;
      backend_.replaced = own;
    }
  }
  function<decltype(openblas_set_num_threads)>("openblas_set_num_threads")(1);
}

void Library::Close::operator()(void* handle) const {
  dlclose(handle);
}

Library::Handle Library::open(const char* name) {
  // A library built with -ffast-math would leave denormals off on this thread.
  std::fenv_t modes;
  std::fegetenv(&modes);
  Handle handle(dlopen(name, RTLD_NOW | RTLD_LOCAL));
  std::fesetenv(&modes);
  if (!handle) {
    const char* const reason = dlerror();
    fail(ErrorCode::failure,
         "cannot load OpenBLAS ({}): install it (Debian: libopenblas0-pthread), or name its folder "
         "in LD_LIBRARY_PATH",
         reason != nullptr ? reason : name);
  }
  return handle;
}

void* Library::address(const char* name) const {
  void* const found = dlsym(handle_.get(), name);
  if (found == nullptr) {
    fail(ErrorCode::failure,
         "{} has no function {}, so it is not OpenBLAS with its C interface: install one (Debian: "
         "libopenblas0-pthread)",
         name_, name);
  }
  return found;
}

std::string Library::core() const {
  return function<decltype(openblas_get_corename)>("openblas_get_corename")();
}

std::string Library::version() const {
  // "OpenBLAS 0.3.21 NO_LAPACKE ..."
  const std::string config = function<decltype(openblas_get_config)>("openblas_get_config")();
  const auto start = config.find(' ');
  return start == std::string::npos
             ? config
             : config.substr(start + 1, config.find(' ', start + 1) - start - 1);
}

}  // namespace perch::blas
