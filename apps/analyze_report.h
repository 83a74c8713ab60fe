// What analyze prints and writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/analyze/layers.h>
#include <perch/analyze/sensitivity.h>

#include "json_output.h"

struct Analysis {
  std::vector<perch::LayerAnalysis> layers;  ///< empty for a float model
  std::optional<perch::Sensitivity> sensitivity;
  std::optional<perch::BitAllocation> allocation;
};

/// Tables to read; `channels` adds the worst ranges of each layer's weights.
std::string text_of(const Analysis& analysis, bool channels);
/// The result event. Layers whose weights were measured, but are not quantized
/// in the model, follow behind the others.
Json json_of(const Analysis& analysis, bool channels);
/// A row for each of json_of()'s layers, its fields as columns.
std::string csv_of(const Analysis& analysis);
/// A rule for each layer of the allocation, as --quant-config reads them.
std::string toml_of(const Analysis& analysis);
