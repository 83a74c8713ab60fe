// Runs a program and collects what it says.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace perch::test {

struct ProcessOptions {
  std::filesystem::path directory = {};                 ///< to run in; empty: this one
  std::map<std::string, std::string> environment = {};  ///< added to this process's
};

struct ProcessResult {
  int exit_code = 0;  ///< 128 + signal when a signal ended it
  std::string out, err;
};

/// command[0] is looked up in PATH unless it has a slash. Throws std::runtime_error when it cannot
/// be started.
ProcessResult run_process(const std::vector<std::string>& command,
                          const ProcessOptions& options = {});

}  // namespace perch::test
