#include "flags.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/core/suggest.h>

void check_choice(const std::string& option, const std::string& value,
                  const std::vector<std::string>& names) {
  PERCH_CHECK(std::find(names.begin(), names.end(), value) != names.end(),
              "unknown {} '{}'; choose one of {}", option, value, perch::choices(value, names));
}

void ThreadsFlag::add_to(CLI::App& app) {
  app.add_option("--threads", threads_, "Threads to compute with; results do not depend on it")
      ->type_name("N");
}

void ThreadsFlag::use() const {
  if (!threads_) return;
  PERCH_CHECK(*threads_ >= 1, "--threads is {}, must be at least 1", *threads_);
  perch::set_thread_count(*threads_);
}
