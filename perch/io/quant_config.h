// Quantization rules from a TOML file. The format: docs/quantizers.md.
#pragma once

#include <filesystem>

#include <perch/quant/rules.h>

namespace perch::io {

/// Throws Error(missing_input) for a file that is not there, Error(bad_data) naming file, line and
/// key, with the nearest one, for what is not TOML, an unknown key, a value of another type and a
/// specification that means nothing.
QuantRules read_quant_config(const std::filesystem::path& file);

}  // namespace perch::io
