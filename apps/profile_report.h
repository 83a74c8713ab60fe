// What --profile prints and writes.
#pragma once

#include <filesystem>

#include <perch/core/profile.h>

#include "json_output.h"

/// A table of ops, longest first, with their rates and shares of this machine's peak; a "profile"
/// event with the same; and the trace, as `trace`. Throws Error(cannot_create) when that cannot be
/// written.
void report_profile(const perch::Profiler& profiler, std::int64_t steps,
                    const std::filesystem::path& trace, Output& output);
