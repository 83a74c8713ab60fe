// CIFAR-10 in its official binary form: records of one label byte and 3 x 32 x 32 pixels, planar.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>

namespace perch::datasets {

/// data_batch_*.bin and test_batch.bin (whose set is empty where the file is missing) of a folder:
/// the argument, else PERCH_DATA_DIR, else the user's cache folder. A folder that holds
/// cifar-10-batches-bin/ counts as that one. Throws Error(missing_input) with the three ways on
/// when there is none, Error(bad_data) for a file that is not whole records or a label over 9.
TrainTest cifar10(const std::filesystem::path& folder = {});

/// One file of records. Throws as cifar10() does.
Dataset cifar10_file(const std::filesystem::path& file);

/// Checks the official sizes, record counts and labels of all six files; returns one line of
/// findings per file, or throws Error(bad_data / missing_input) naming the first bad file.
std::vector<std::string> verify_cifar10(const std::filesystem::path& folder);

/// The names of the six official files, the test batch last.
const std::vector<std::string>& cifar10_batch_files();
const std::vector<std::string>& cifar10_class_names();

/// $XDG_CACHE_HOME/perch or ~/.cache/perch.
std::filesystem::path cache_folder();

/// One line: a local folder, the embedded subset, "perch data fetch cifar10".
std::string ways_to_get_cifar10();

}  // namespace perch::datasets
