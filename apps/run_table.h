// Runs as text and JSON: one in a line of a table, two side by side.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/io/run_reader.h>

#include "json_output.h"

/// A run, or why it cannot be read.
struct RunEntry {
  std::filesystem::path path;
  std::string broken;
  perch::io::RunReport report;
};

Json to_json(const RunEntry& entry);
std::string run_table(const std::vector<RunEntry>& entries);

/// What two runs were told differently, ran on differently, and gave.
struct RunDifference {
  struct Row {
    std::string name;
    perch::io::RunValue a, b;
  };
  std::vector<Row> settings, environment;
};
RunDifference difference_of(const perch::io::RunReport& a, const perch::io::RunReport& b);

Json to_json(const perch::io::RunReport& a, const perch::io::RunReport& b,
             const RunDifference& difference);
std::string difference_text(const perch::io::RunReport& a, const perch::io::RunReport& b,
                            const RunDifference& difference);
