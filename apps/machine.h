// What perch was built with and runs on.
#pragma once

#include <string>

std::string cpu_name();
std::string compiler();
/// What it was told, without warnings and definitions.
std::string compiler_flags();
