#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include <Random123/philox.h>

#include <perch/core/random.h>

namespace perch {
namespace {

// FNV-1a, 32 bits.
std::uint32_t hash(std::string_view text) {
  std::uint32_t h = 2166136261u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  return h;
}

float to_unit_interval(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

}  // namespace

Random::Random(std::uint64_t seed, std::string_view stream, std::uint32_t step)
    : Random(seed, hash(stream), step) {}

std::array<std::uint32_t, 4> Random::block(std::uint64_t number) const {
  const r123::Philox4x32 philox;
  const r123::Philox4x32::ctr_type counter{{static_cast<std::uint32_t>(number),
                                            static_cast<std::uint32_t>(number >> 32), step_,
                                            stream_}};
  const r123::Philox4x32::key_type key{
      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)}};
  const auto draws = philox(counter, key);
  return {draws[0], draws[1], draws[2], draws[3]};
}

std::uint32_t Random::bits(std::uint64_t index) const {
  return block(index / 4)[index % 4];
}

float Random::uniform(std::uint64_t index) const {
  return to_unit_interval(bits(index));
}

void Random::fill_uniform(std::span<float> values, std::uint64_t first) const {
  for (std::size_t i = 0; i < values.size();) {
    const std::uint64_t index = first + i;
    const auto draws = block(index / 4);
    for (auto lane = index % 4; lane < 4 && i < values.size(); ++lane, ++i) {
      values[i] = to_unit_interval(draws[lane]);
    }
  }
}

float Random::uniform(std::uint64_t index, float low, float high) const {
  return low + (high - low) * uniform(index);
}

float Random::normal(std::uint64_t index) const {
  // 1 - u is in (0, 1], so that the logarithm is finite.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(2 * index)));
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * uniform(2 * index + 1)));
}

std::vector<std::uint32_t> Random::permutation(std::uint32_t count) const {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint32_t i = count; i > 1; --i) {
    const auto j = static_cast<std::uint32_t>(std::uint64_t{bits(i)} * i >> 32);
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

}  // namespace perch
