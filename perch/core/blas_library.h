// OpenBLAS loaded at run time, because it chooses its kernels while it loads, and not always well.
// For sources, not for public headers.
#pragma once

#include <memory>
#include <string>

#include <perch/core/blas.h>

namespace perch::blas {

/// An OpenBLAS, unloaded with this object. It keeps to the calling thread and, where its own choice
/// makes less of the CPU's vectors, uses the kernels that perch asks for; a user's
/// OPENBLAS_CORETYPE is never overruled, and PERCH_FORCE_ARCH binds perch's kernels alone. A
/// library that another part of the program has loaded before stays with the kernels that it has.
class Library {
 public:
  /// `name` is a file's path, or is looked for as dlopen(3) does. Sets environment variables that
  /// the user did not and unsets them again, so no other thread may use the environment meanwhile.
  /// The floating-point modes stay. Throws Error(failure) when there is no OpenBLAS by that name.
  explicit Library(const char* name);

  const Backend& backend() const { return backend_; }

  /// Throws Error(failure) when the library does not have it.
  template <class F>
  F* function(const char* name) const {
    return reinterpret_cast<F*>(address(name));
  }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  using Handle = std::unique_ptr<void, Close>;

  static Handle open(const char* name);
  void* address(const char* name) const;
  std::string core() const;
  std::string version() const;

  const char* name_;
  Handle handle_;
  Backend backend_;
};

}  // namespace perch::blas
