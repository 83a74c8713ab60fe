// Warnings for people, on stderr.
#pragma once

#include <string>

namespace perch {

/// "perch: warning: LINE". A stderr that takes nothing stops no work.
void warn(const std::string& line) noexcept;

}  // namespace perch
