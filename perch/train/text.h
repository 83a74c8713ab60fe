// Numbers for people.
#pragma once

#include <string>

namespace perch {

/// Rounded, with a comma every three digits: "12,345".
std::string grouped(double number);

/// "4 s", "3 min 05 s", "2 h 07 min".
std::string duration(double seconds);

}  // namespace perch
