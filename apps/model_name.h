// Names of the files that models are saved in, by the original script's rule.
#pragma once

#include <filesystem>
#include <string>

#include "quantize_flags.h"

/// "temp_net_8wbits_8abits_asym_full_perch_AV", or "temp_net_float". Throws Error(usage) for a stem
/// that is no file name.
std::string model_name(const std::string& stem, const QuantizeFlags& quantize);

/// Makes sure that `file` can be written, so that a long training is not for nothing; leaves
/// nothing behind. Throws Error(cannot_create).
void check_writable(const std::filesystem::path& file);
