#include "flags.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/core/parallel.h>
#include <perch/core/suggest.h>
#include <perch/train/trainer.h>

void check_choice(const std::string& option, const std::string& value,
                  const std::vector<std::string>& names) {
  PERCH_CHECK(std::find(names.begin(), names.end(), value) != names.end(),
              "unknown {} '{}'; choose one of {}", option, value, perch::choices(value, names));
}

std::vector<std::string> names_of_given(const std::vector<CLI::Option*>& options) {
  std::vector<std::string> names;
  for (const CLI::Option* option : options) {
    if (option->count() > 0) names.push_back(option->get_name());
  }
  return names;
}

std::string integer_forward_name() {
  switch (perch::integer_forward_mode()) {
    case perch::IntegerForward::on:
      return "on";
    case perch::IntegerForward::off:
      return "off";
    case perch::IntegerForward::fast:
      break;
  }
  return "fast";
}

void ComputeFlags::add_to(CLI::App& app) {
  const std::string group = "Computing (results differ by rounding at most)";
  app.add_option("--threads", threads_, "Threads to compute with; default: all cores")
      ->type_name("N")
      ->group(group);
  app.add_flag("--no-fuse", no_fuse_, "Layer by layer, not in fused blocks (PERCH_FUSE=0)")
      ->group(group);
  app.add_option("--integer-forward", integer_,
                 "Products of quantized tensors from their integers: on, off, or where that is "
                 "faster (PERCH_INTEGER); default: fast")
      ->type_name("on|off|fast")
      ->group(group);
}

void ComputeFlags::use() const {
  if (threads_) {
    PERCH_CHECK(*threads_ >= 1, "--threads is {}, must be at least 1", *threads_);
    perch::set_thread_count(*threads_);
  }
  if (integer_) {
    check_choice("--integer-forward", *integer_, {"on", "off", "fast"});
    perch::set_integer_forward(*integer_ == "on"    ? perch::IntegerForward::on
                               : *integer_ == "off" ? perch::IntegerForward::off
                                                    : perch::IntegerForward::fast);
  }
}

void ComputeFlags::apply(perch::Trainer& trainer) const {
  if (no_fuse_) trainer.set_fuse(false);
}
