// What perch was built with and runs on.
#pragma once

#include <optional>
#include <string>

std::string cpu_name();
std::string compiler();
/// What it was told, without warnings and definitions.
std::string compiler_flags();
/// That processes may take now without swapping; nullopt where the kernel does not say.
std::optional<double> available_memory_mb();
