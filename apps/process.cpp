#include "process.h"

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

std::optional<double> seconds_since_start() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // proc(5): field 22, ticks since boot. The name, field 2, may hold spaces and brackets.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  long long ticks = 0;
  timespec now{};
  if (!(fields >> ticks) || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return std::nullopt;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 -
         static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text, word;
  for (bool first = true; std::getline(file, word, '\0'); first = false) {
    const bool plain =
        !word.empty() && word.find_first_of(" \t\n\"'\\$`*?;&|<>()#~!{}[]") == std::string::npos;
    if (first) {
      text = "perch";
    } else {
      text.append(plain ? " " : " '").append(word).append(plain ? "" : "'");
    }
  }
  return text;
}
