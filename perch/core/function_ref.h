// FunctionRef: a non-owning reference to a callable, for parameters: no allocation.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace perch {

template <class Signature>
class FunctionRef;

/// The callable must outlive the reference. A default one is empty: false.
template <class... Arguments>
class FunctionRef<void(Arguments...)> {
 public:
  FunctionRef() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(const F& f)
      : object_(std::addressof(f)), call_([](const void* object, Arguments... arguments) {
          (*static_cast<const F*>(object))(std::forward<Arguments>(arguments)...);
        }) {}

  void operator()(Arguments... arguments) const {
    call_(object_, std::forward<Arguments>(arguments)...);
  }
  explicit operator bool() const { return call_ != nullptr; }

 private:
  const void* object_ = nullptr;
  void (*call_)(const void*, Arguments...) = nullptr;
};

}  // namespace perch
