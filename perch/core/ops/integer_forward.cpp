#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/core/suggest.h>

namespace perch {
namespace {

IntegerForward from_environment() {
  const char* const value = std::getenv("PERCH_INTEGER");
  if (value == nullptr || *value == '\0') return IntegerForward::fast;
  const std::string text = value;
  if (text == "off" || text == "0") return IntegerForward::off;
  if (text == "on" || text == "1") return IntegerForward::on;
  PERCH_CHECK(text == "fast", "PERCH_INTEGER: \"{}\" is unknown; it takes {}", text,
              choices(text, {"on", "off", "fast"}));
  return IntegerForward::fast;
}

std::atomic<IntegerForward>& mode() {
  static std::atomic<IntegerForward> held = from_environment();
  return held;
}

}  // namespace

IntegerForward integer_forward_mode() {
  return mode();
}

void set_integer_forward(IntegerForward value) {
  mode() = value;
}

bool integer_forward() {
  const IntegerForward value = mode();
  return value == IntegerForward::on ||
         (value == IntegerForward::fast && kernels::active().integer.faster);
}

}  // namespace perch
