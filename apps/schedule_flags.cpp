#include "schedule_flags.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>

#include "flags.h"

using namespace perch;

namespace {

/// use(specification) for all that the rules say.
template <class Use>
void for_each_spec(const QuantRules& rules, const Use& use) {
  if (rules.input) use(*rules.input);
  for (const LayerRule& rule : rules.rules) {
    if (!rule.config) continue;
    for (const auto& [weight, spec] : rule.config->weights) use(spec);
    if (rule.config->activation) use(*rule.config->activation);
    if (rule.config->output) use(*rule.config->output);
  }
}

/// Of LSQ's scales with Adam, whose steps have the size of the learning rate whatever the
/// gradient's: as the scales themselves do at first, it shrinks with the root of the levels of the
/// widest of them.
float scale_rate_factor(const QuantRules& rules) {
  int bits = 1;
  for_each_spec(rules, [&](const QuantSpec& spec) {
    const bool scales =
        std::holds_alternative<Lsq>(spec.range) || std::holds_alternative<LsqPlus>(spec.range);
    if (scales) bits = std::max(bits, spec.bits);
  });
  return 1.0f / std::sqrt(static_cast<float>(1 << (bits - 1)));
}

}  // namespace

void ScheduleFlags::add_to(CLI::App& app, const std::string& group) {
  auto add = [&](CLI::Option* option) { options_.push_back(option->group(group)); };
  add(app.add_option("--activations-from", activations_from_,
                     "Activations are only observed before this step, or as 2epochs")
          ->type_name("WHEN")
          ->default_str("0"));
  add(app.add_option("--full-from", full_from_, "Quantization grows until it is whole then")
          ->type_name("WHEN")
          ->default_str("0"));
  add(app.add_option("--ranges-until", ranges_until_,
                     "Ranges stay as they are from then on; default: never")
          ->type_name("WHEN"));
  add(app.add_option(
             "--batch-norm-until", batch_norm_until_,
             "Batch normalisation's statistics stay as they are from then on; default: never")
          ->type_name("WHEN"));
  add(app.add_option("--bits-schedule", bits_,
                     "Weight bits one after another, for equal parts of the training: 8,4,3,2")
          ->type_name("N,N,...")
          ->delimiter(','));
  add(app.add_flag("--oscillations")
          ->description("Report the share of weights that oscillate between two levels"));
  add(app.add_option("--dampen", oscillation_.dampen,
                     "Strength at the end of what pulls weights to their levels")
          ->type_name("X")
          ->default_str("0"));
  add(app.add_option("--freeze-oscillating", oscillation_.freeze_above,
                     "Weights that oscillate in more than this share of the steps stay where they "
                     "are; default: never")
          ->type_name("SHARE"));
  add(app.add_option(
             "--range-rate-factor", range_rate_factor_,
             "Learning rate of trained ranges over the weights'; default: 2^((1 - bits) / 2) "
             "for lsq and lsq_plus with adam or adamw, else 1")
          ->type_name("X"));
  add(app.add_option("--range-weight-decay", range_weight_decay_,
                     "Weight decay of trained ranges; default: 0")
          ->type_name("X"));
}

std::vector<std::string> ScheduleFlags::given() const {
  return names_of_given(options_);
}

bool ScheduleFlags::any(const std::vector<std::string>& flags) const {
  const auto names = given();
  return std::ranges::any_of(flags, [&](const std::string& flag) {
    return std::ranges::find(names, flag) != names.end();
  });
}

bool trains_ranges(const QuantRules& rules) {
  bool trained = false;
  for_each_spec(rules, [&](const QuantSpec& spec) { trained = trained || learns(spec.range); });
  return trained;
}

void ScheduleFlags::check(const QuantRules& rules) const {
  schedule(1.0);
  with_flag("--dampen, --freeze-oscillating", [&] { return oscillation(oscillation_); });
  const bool trained = trains_ranges(rules);
  for (const char* const flag : {"--range-rate-factor", "--range-weight-decay"}) {
    PERCH_CHECK(!any({flag}) || trained,
                "{} has no effect without a trained range; leave it out or use lsq, lsq_plus, pact "
                "or tqt",
                flag);
  }
}

QuantizationSchedule ScheduleFlags::schedule(double epochs) const {
  QuantizationSchedule result;
  const auto set = [&](const char* flag, const std::string& text, auto& time) {
    if (any({flag})) time = with_flag(flag, [&] { return TrainTime::parse(text); });
  };
  set("--activations-from", activations_from_, result.activations_from);
  set("--full-from", full_from_, result.full_from);
  set("--ranges-until", ranges_until_, result.ranges_until);
  set("--batch-norm-until", batch_norm_until_, result.batch_norm_until);
  if (!bits_.empty()) result.weight_bits = spread_bits(bits_, epochs);
  return result;
}

FitOptions ScheduleFlags::apply(const QuantRules& rules, const Optimizer& optimizer,
                                FitOptions fit) const {
  if (any({"--activations-from", "--ranges-until", "--full-from", "--batch-norm-until",
           "--bits-schedule"})) {
    fit.callbacks.push_back(quantization_schedule(schedule(static_cast<double>(fit.epochs))));
  }
  if (any({"--oscillations", "--dampen", "--freeze-oscillating"})) {
    fit.callbacks.push_back(oscillation(oscillation_));
  }
  const float usual = optimizer.name() == "sgd" ? 1.0f : scale_rate_factor(rules);
  fit.range_rate_factor = range_rate_factor_.value_or(usual);
  fit.range_weight_decay = range_weight_decay_.value_or(0.0f);
  return fit;
}
