// What the kernel keeps of this process.
#pragma once

#include <optional>
#include <string>

/// Peak resident memory so far.
double peak_rss_mb();
/// Since the process was started, before the program was loaded; in steps of the kernel's clock
/// tick (10 ms). nullopt where /proc is not mounted.
std::optional<double> seconds_since_start();
/// The command line as one would type it, "perch train ..."; empty where /proc is not mounted.
std::string command_line();
