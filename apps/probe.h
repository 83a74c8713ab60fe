// How fast and with how much memory this machine trains a network: a few steps on images that are
// made up.
#pragma once

#include <cstdint>
#include <string>

#include <perch/core/shape.h>

struct ProbeResult {
  double images_per_second;             ///< with all threads
  double images_per_second_one_thread;  ///< of one of as many runs as there are cores
};

/// Of a network with 8-bit quantizers. Leaves the thread count as it was.
ProbeResult probe_training(const std::string& model, const perch::Shape& image,
                           std::int64_t classes);
