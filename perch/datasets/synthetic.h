// Made-up data for tests and for trying things out.
#pragma once

#include <cstdint>

#include <perch/datasets/dataset.h>

namespace perch::datasets {

/// uint8 images that a network can learn to tell apart: each class has a pattern of its own, under
/// noise. Labels go 0, 1, ..., classes - 1, 0, 1, ...; a function of the arguments alone. Throws
/// Error(usage) unless count and classes are positive.
Dataset synthetic(std::int64_t count, const Shape& image_shape, std::int64_t classes,
                  std::uint64_t seed);

}  // namespace perch::datasets
