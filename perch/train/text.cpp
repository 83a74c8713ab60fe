#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include <perch/train/text.h>

namespace perch {

std::string grouped(double number) {
  return fmt::format("{}", fmt::group_digits(std::llround(number)));
}

std::string duration(double seconds) {
  const auto s = static_cast<std::int64_t>(std::ceil(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

}  // namespace perch
