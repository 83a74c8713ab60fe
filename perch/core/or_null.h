// An optional value as JSON, whichever library's.
#pragma once

#include <optional>

namespace perch {

/// or_null<Json>(value): null where there is none.
template <class Json, class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace perch
