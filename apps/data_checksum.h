// One checksum of all images that a command works on.
#pragma once

#include <string>

#include <perch/datasets/dataset.h>

/// 16 hexadecimal digits of both sets.
std::string data_checksum(const perch::TrainTest& data);
