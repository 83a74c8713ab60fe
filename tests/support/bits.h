// Comparison of float arrays bit by bit.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>

#include <fmt/format.h>

#include <perch/core/tensor.h>

namespace perch::test {

enum class Zeros { exact, any_sign };

/// Empty when all bits are equal, else what differs first.
inline std::string bit_difference(std::span<const float> got, std::span<const float> expected,
                                  Zeros zeros = Zeros::exact) {
  if (got.size() != expected.size()) {
    return fmt::format("{} elements, expected {}", got.size(), expected.size());
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(got[i]) == std::bit_cast<std::uint32_t>(expected[i])) continue;
    if (zeros == Zeros::any_sign && got[i] == 0.0f && expected[i] == 0.0f) continue;
    return fmt::format("element {}: {} ({:a}), expected {} ({:a})", i, got[i], got[i], expected[i],
                       expected[i]);
  }
  return {};
}

/// Shapes too.
inline std::string bit_difference(const Tensor& got, const Tensor& expected,
                                  Zeros zeros = Zeros::exact) {
  if (!(got.shape() == expected.shape())) {
    return fmt::format("shape {}, expected {}", got.shape().to_string(),
                       expected.shape().to_string());
  }
  return bit_difference(got.values(), expected.values(), zeros);
}

}  // namespace perch::test
