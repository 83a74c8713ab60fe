// The report: one HTML file that needs nothing else, not even a script.
#pragma once

#include <string>

#include <perch/experiments/findings.h>

namespace perch::experiments {

std::string report_html(const Results& results, const Findings& findings);

}  // namespace perch::experiments
