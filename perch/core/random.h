// Counter-based random numbers (Philox 4x32-10): a draw is a function of (seed, stream, step,
// index), so nothing has hidden state and results do not depend on threads or on order.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace perch {

class Random {
 public:
  Random(std::uint64_t seed, std::uint32_t stream, std::uint32_t step = 0)
      : seed_(seed), stream_(stream), step_(step) {}
  /// A stream for each name, for instance of a weight.
  Random(std::uint64_t seed, std::string_view stream, std::uint32_t step = 0);

  /// 32 random bits. Indices are below 2^34.
  std::uint32_t bits(std::uint64_t index) const;
  /// In [0, 1).
  float uniform(std::uint64_t index) const;
  /// In [low, high).
  float uniform(std::uint64_t index, float low, float high) const;
  /// values[i] = uniform(first + i), four times faster.
  void fill_uniform(std::span<float> values, std::uint64_t first = 0) const;
  /// Standard normal (Box-Muller).
  float normal(std::uint64_t index) const;
  /// A permutation of [0, count) (Fisher-Yates).
  std::vector<std::uint32_t> permutation(std::uint32_t count) const;

 private:
  /// Four draws: the bits of the indices 4 number .. 4 number + 3.
  std::array<std::uint32_t, 4> block(std::uint64_t number) const;

  std::uint64_t seed_;
  std::uint32_t stream_, step_;
};

}  // namespace perch
