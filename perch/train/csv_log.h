// The rows of the CSV log, apart from where they are written.
#pragma once

#include <string>

#include <perch/train/callback.h>

namespace perch {

/// With its line's end, as csv_row() has one.
std::string csv_header();
std::string csv_row(const EpochResult& result);

}  // namespace perch
