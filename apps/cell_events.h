// What the commands of a cell tell with --json, as results keep it.
#pragma once

#include <vector>

#include <perch/experiments/results.h>

#include "json_output.h"

/// Of `perch train`'s event "epoch".
perch::experiments::EpochRecord epoch_from_event(const Json& event);
/// Of `perch analyze --channels`'s event "result".
std::vector<perch::experiments::LayerRecord> layers_from_event(const Json& event);
