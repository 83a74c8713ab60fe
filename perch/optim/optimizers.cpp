#include <cmath>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/optim/optimizers.h>

namespace perch {
namespace {

constexpr std::int64_t chunk_size = 16384;

// body(begin, size) for each chunk of n elements.
template <class Body>
void for_each_chunk(std::int64_t n, const Body& body) {
  const Chunks chunks(n, chunk_size);
  parallel_for(chunks.number(), [&](std::int64_t i) { body(chunks[i].begin, chunks[i].size()); });
}

void check_rates(float learning_rate, float weight_decay) {
  PERCH_CHECK(std::isfinite(learning_rate) && learning_rate >= 0.0f,
              "learning_rate {} must be a number of at least 0", learning_rate);
  PERCH_CHECK(std::isfinite(weight_decay) && weight_decay >= 0.0f,
              "weight_decay {} must be a number of at least 0", weight_decay);
}

Adam::Options with_default_decay() {
  Adam::Options options;
  options.weight_decay = 0.004f;
  return options;
}

}  // namespace

Sgd::Sgd(const Options& options) : options_(options) {
  check_rates(options.learning_rate, options.weight_decay);
  PERCH_CHECK(options.momentum >= 0.0f && options.momentum < 1.0f,
              "momentum {} is outside of [0, 1)", options.momentum);
}
Sgd::Sgd() : Sgd(Options{}) {}

std::map<std::string, std::string> Sgd::settings() const {
  return {{"learning_rate", fmt::format("{}", options_.learning_rate)},
          {"momentum", fmt::format("{}", options_.momentum)},
          {"nesterov", fmt::format("{}", options_.nesterov)},
          {"weight_decay", fmt::format("{}", options_.weight_decay)}};
}

void Sgd::begin_step(float learning_rate) {
  rate_ = learning_rate;
}

void Sgd::update(const std::string& name, Tensor& value, const Tensor& gradient) {
  const bool keeps_velocity = options_.momentum != 0.0f;
  float* const velocity = keeps_velocity ? slot("momentum", name, value.shape()).data() : nullptr;
  const kernels::SgdStep step{.learning_rate = rate_,
                              .momentum = options_.momentum,
                              .weight_decay = weight_decay_or(options_.weight_decay),
                              .nesterov = options_.nesterov};
  const auto kernel = kernels::active().optimize.sgd;
  for_each_chunk(value.size(), [&](std::int64_t begin, std::int64_t size) {
    kernel(value.data() + begin, keeps_velocity ? velocity + begin : nullptr,
           gradient.data() + begin, size, step);
  });
}

Adam::Adam(const Options& options) : options_(options) {
  check_rates(options.learning_rate, options.weight_decay);
  PERCH_CHECK(options.beta_1 >= 0.0 && options.beta_1 < 1.0 && options.beta_2 >= 0.0 &&
                  options.beta_2 < 1.0,
              "beta_1 {} or beta_2 {} is outside of [0, 1)", options.beta_1, options.beta_2);
  PERCH_CHECK(options.epsilon > 0.0f, "epsilon {} must be positive", options.epsilon);
}
Adam::Adam() : Adam(Options{}) {}

std::map<std::string, std::string> Adam::settings() const {
  return {{"learning_rate", fmt::format("{}", options_.learning_rate)},
          {"beta_1", fmt::format("{}", options_.beta_1)},
          {"beta_2", fmt::format("{}", options_.beta_2)},
          {"epsilon", fmt::format("{}", options_.epsilon)},
          {"weight_decay", fmt::format("{}", options_.weight_decay)}};
}

void Adam::begin_step(float learning_rate) {
  const auto steps = static_cast<float>(iterations());
  const float power_1 = std::pow(static_cast<float>(options_.beta_1), steps);
  const float power_2 = std::pow(static_cast<float>(options_.beta_2), steps);
  rate_ = learning_rate;
  alpha_ = learning_rate * std::sqrt(1.0f - power_2) / (1.0f - power_1);
}

void Adam::update(const std::string& name, Tensor& value, const Tensor& gradient) {
  float* const m = slot("m", name, value.shape()).data();
  float* const v = slot("v", name, value.shape()).data();
  const kernels::AdamStep step{.alpha = alpha_,
                               .rate_1 = static_cast<float>(1.0 - options_.beta_1),
                               .rate_2 = static_cast<float>(1.0 - options_.beta_2),
                               .epsilon = options_.epsilon,
                               .learning_rate = rate_,
                               .weight_decay = weight_decay_or(options_.weight_decay)};
  const auto kernel = kernels::active().optimize.adam;
  for_each_chunk(value.size(), [&](std::int64_t begin, std::int64_t size) {
    kernel(value.data() + begin, m + begin, v + begin, gradient.data() + begin, size, step);
  });
}

AdamW::AdamW(Options options) : Adam(options) {}
AdamW::AdamW() : AdamW(with_default_decay()) {}

}  // namespace perch
