// Results as a table for other programs.
#pragma once

#include <string>

#include <perch/experiments/results.h>

namespace perch::experiments {

/// A line for each cell that has run (RFC 4180).
std::string to_csv(const Results& results);

}  // namespace perch::experiments
