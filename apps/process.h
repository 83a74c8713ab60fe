// What the kernel keeps of this process.
#pragma once

#include <optional>

/// Peak resident memory so far.
double peak_rss_mb();
/// Since the process was started, before the program was loaded; in steps of the kernel's clock
/// tick (10 ms). nullopt where /proc is not mounted.
std::optional<double> seconds_since_start();
