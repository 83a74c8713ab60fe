#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <perch/core/parallel.h>
#include <perch/train/clip.h>

namespace perch {
namespace {

constexpr std::int64_t chunk_size = 16384;
// Chunks are summed in rounds of this many, so that the partial sums fit on the stack.
constexpr std::int64_t round_size = 64;

double sum_of_squares(std::span<const float> values, ChunkRange range) {
  // Independent lanes: a single running sum would wait for every addition.
  std::array<double, 8> lanes{};
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const double x = values[static_cast<std::size_t>(i)];
    lanes[static_cast<std::size_t>(i % 8)] += x * x;
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double sum_of_squares(std::span<const float> values) {
  const Chunks chunks(static_cast<std::int64_t>(values.size()), chunk_size);
  double sum = 0.0;
  for (std::int64_t first = 0; first < chunks.number(); first += round_size) {
    std::array<double, round_size> partial{};
    const std::int64_t count = std::min(round_size, chunks.number() - first);
    parallel_for(count, [&](std::int64_t i) {
      partial[static_cast<std::size_t>(i)] = sum_of_squares(values, chunks[first + i]);
    });
    for (const double p : partial) sum += p;
  }
  return sum;
}

}  // namespace

double global_norm(const std::vector<Parameter>& parameters) {
  double sum = 0.0;
  for (const Parameter& parameter : parameters) {
    const Tensor& gradient = parameter.variable.grad();
    if (!gradient.empty()) sum += sum_of_squares(gradient.values());
  }
  return std::sqrt(sum);
}

double clip_by_global_norm(std::vector<Parameter>& parameters, float limit) {
  const double norm = global_norm(parameters);
  if (norm <= limit) return norm;
  const auto scale = static_cast<float>(limit / norm);
  for (Parameter& parameter : parameters) {
    Tensor gradient = parameter.variable.take_grad();
    if (gradient.empty()) continue;
    if (!gradient.unique()) gradient = gradient.clone();
    const Chunks chunks(gradient.size(), chunk_size);
    float* const values = gradient.data();
    parallel_for(chunks.number(), [&](std::int64_t i) {
      const ChunkRange range = chunks[i];
      for (std::int64_t j = range.begin; j < range.end; ++j) values[j] *= scale;
    });
    // A leaf's seed is its gradient.
    parameter.variable.backward(std::move(gradient));
  }
  return norm;
}

}  // namespace perch
