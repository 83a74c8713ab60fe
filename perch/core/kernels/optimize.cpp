#include <perch/core/kernels/lanes.h>
#include <perch/core/kernels/optimize.h>

namespace perch::kernels {
namespace {

// body(element, count) for each vector of n elements; the count is below lanes for the last at
// most.
template <class Body>
void for_each_vector(std::int64_t n, Body body) {
  for (std::int64_t i = 0; i < n; i += lanes) body(i, n - i < lanes ? n - i : lanes);
}

void adam(float* w, float* m, float* v, const float* g, std::int64_t n, const AdamStep& step) {
  const Batch alpha(step.alpha), rate_1(step.rate_1), rate_2(step.rate_2), epsilon(step.epsilon);
  const Batch learning_rate(step.learning_rate), weight_decay(step.weight_decay);
  const bool decays = step.weight_decay != 0.0f;
  for_each_vector(n, [=](std::int64_t i, std::int64_t count) {
    const Batch gradient = load(g + i, count);
    Batch first = load(m + i, count), second = load(v + i, count), weight = load(w + i, count);
    if (decays) weight = weight - weight * weight_decay * learning_rate;
    first = first + (gradient - first) * rate_1;
    second = second + (gradient * gradient - second) * rate_2;
    weight = weight - first * alpha / (xsimd::sqrt(second) + epsilon);
    store(m + i, first, count);
    store(v + i, second, count);
    store(w + i, weight, count);
  });
}

void sgd(float* w, float* velocity, const float* g, std::int64_t n, const SgdStep& step) {
  const Batch learning_rate(step.learning_rate), momentum(step.momentum);
  const Batch weight_decay(step.weight_decay);
  const bool decays = step.weight_decay != 0.0f, nesterov = step.nesterov;
  for_each_vector(n, [=](std::int64_t i, std::int64_t count) {
    Batch gradient = load(g + i, count), weight = load(w + i, count);
    if (decays) gradient = gradient + weight_decay * weight;
    const Batch descent = gradient * learning_rate;
    if (velocity == nullptr) {
      store(w + i, weight - descent, count);
      return;
    }
    const Batch v = load(velocity + i, count) * momentum - descent;
    store(velocity + i, v, count);
    store(w + i, weight + (nesterov ? v * momentum - descent : v), count);
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const OptimizeKernels optimize;
const OptimizeKernels optimize{.adam = kernels::adam, .sgd = kernels::sgd};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
