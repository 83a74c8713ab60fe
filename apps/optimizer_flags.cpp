#include "optimizer_flags.h"

#include <cmath>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>

#include "flags.h"

using namespace perch;

void OptimizerFlags::add_to(CLI::App& app) {
  const std::string group = "Optimizer";
  app.add_option("--optimizer", optimizer_, "How steps are taken")
      ->type_name("adam|adamw|sgd")
      ->capture_default_str()
      ->group(group);
  app.add_option("--learning-rate", learning_rate_, "Before the schedule's factor")
      ->type_name("X")
      ->capture_default_str()
      ->group(group);
  app.add_option("--momentum", momentum_, "For sgd, in [0, 1); default 0")
      ->type_name("X")
      ->group(group);
  app.add_option("--weight-decay", weight_decay_, "For sgd (default 0) and adamw (default 0.004)")
      ->type_name("X")
      ->group(group);
  app.add_option("--schedule", schedule_,
                 "Course of the learning rate; step: a tenth from 50 % and again from 75 % on")
      ->type_name("constant|step|cosine")
      ->capture_default_str()
      ->group(group);
  app.add_option("--warmup", warmup_, "Steps in which the learning rate rises from 0")
      ->type_name("N")
      ->capture_default_str()
      ->group(group);
  app.add_option("--clip-norm", clip_norm_, "Largest global norm of the gradients; default: any")
      ->type_name("X")
      ->group(group);
}

void OptimizerFlags::check() const {
  check_choice("--optimizer", optimizer_, {"adam", "adamw", "sgd"});
  check_choice("--schedule", schedule_, schedule_names());
  PERCH_CHECK(std::isfinite(learning_rate_) && learning_rate_ > 0.0f,
              "--learning-rate is {}, must be a positive number", learning_rate_);
  PERCH_CHECK(!momentum_ || optimizer_ == "sgd",
              "--momentum has no effect with --optimizer {}; leave it out or use --optimizer sgd",
              optimizer_);
  PERCH_CHECK(!weight_decay_ || optimizer_ != "adam",
              "--weight-decay has no effect with --optimizer adam; leave it out or use --optimizer "
              "adamw or sgd");
  PERCH_CHECK(!momentum_ || (*momentum_ >= 0.0f && *momentum_ < 1.0f),
              "--momentum is {}, must be in [0, 1)", momentum_.value_or(0.0f));
  PERCH_CHECK(!weight_decay_ || (std::isfinite(*weight_decay_) && *weight_decay_ >= 0.0f),
              "--weight-decay is {}, must be a number not below 0", weight_decay_.value_or(0.0f));
  PERCH_CHECK(!clip_norm_ || (std::isfinite(*clip_norm_) && *clip_norm_ > 0.0f),
              "--clip-norm is {}, must be a positive number", clip_norm_.value_or(0.0f));
  PERCH_CHECK(warmup_ >= 0, "--warmup is {}, must not be negative", warmup_);
}

std::unique_ptr<Optimizer> OptimizerFlags::make() const {
  check();
  if (optimizer_ == "sgd") {
    return std::make_unique<Sgd>(Sgd::Options{.learning_rate = learning_rate_,
                                              .momentum = momentum_.value_or(0.0f),
                                              .weight_decay = weight_decay_.value_or(0.0f)});
  }
  Adam::Options options{.learning_rate = learning_rate_};
  if (optimizer_ == "adam") return std::make_unique<Adam>(options);
  options.weight_decay = weight_decay_.value_or(adamw_decay);
  return std::make_unique<AdamW>(options);
}

std::vector<io::RunSetting> OptimizerFlags::resolved() const {
  if (optimizer_ == "adam") return {};
  if (optimizer_ == "adamw") return {{"weight_decay", std::stod(fmt::format("{}", adamw_decay))}};
  return {{"weight_decay", 0.0}, {"momentum", 0.0}};
}

Schedule OptimizerFlags::schedule() const {
  return {.kind = schedule_kind(schedule_), .warmup_steps = warmup_};
}
