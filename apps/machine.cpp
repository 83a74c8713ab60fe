#include "machine.h"

#include <fstream>

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#else
  return "unknown";
#endif
}

std::string compiler_flags() {
  return PERCH_COMPILER_FLAGS;
}

std::optional<double> available_memory_mb() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  for (double kilobytes = 0.0; info >> name >> kilobytes; info.ignore(64, '\n')) {
    if (name == "MemAvailable:") return kilobytes / 1024.0;
  }
  return std::nullopt;
}
