// What perch was built with and runs on.
#pragma once

#include <string>

std::string cpu_name();
std::string compiler();
