// A data set of people's own as a pair of NumPy .npy files.
#pragma once

#include <filesystem>

#include <perch/datasets/dataset.h>

namespace perch::datasets {

/// Images: uint8 or float32, [N, H, W, C], in C order. Labels: any integer type, [N] or [N, 1].
/// The format is the published one (NEP 1), versions 1.0 to 3.0. Throws Error(missing_input) for a
/// missing file and Error(bad_data), naming the file and what it holds, for everything else.
Dataset from_npy(const std::filesystem::path& images_file,
                 const std::filesystem::path& labels_file);

}  // namespace perch::datasets
