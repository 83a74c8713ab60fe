// What the tests of the command line share: running it, tiny data, reading its results.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <tests/support/places.h>
#include <tests/support/process.h>
#include <tests/support/temp_folder.h>

namespace perch::test {

using Json = nlohmann::ordered_json;
using Arguments = std::vector<std::string>;

/// A temporary folder whose paths are arguments, so strings.
class TestFolder : public TempFolder {
 public:
  std::string operator/(const std::string& name) const { return (path() / name).string(); }
  /// Relative paths of everything in it, sorted.
  std::vector<std::string> content() const;
};

/// CIFAR-10 records with labels 0, 1, ..., 9, 0, ... and images that a network can tell apart.
std::vector<std::uint8_t> records(int count);
void write_file(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes);
/// data_batch_1.bin, and test_batch.bin unless test_count is 0.
std::string write_data(const TestFolder& folder, int train_count = 100, int test_count = 40);

/// Runs the command line, away from any data of the user.
ProcessResult run_perch(const Arguments& arguments, const ProcessOptions& options = {});

/// Runs it with --json and wants success: the events.
std::vector<Json> events(Arguments arguments);
/// The last one, which has to be the result.
Json result(const Arguments& arguments);

/// How many events are of that kind.
std::size_t count(const std::string& kind, const std::vector<Json>& events);

/// stderr without the warning of a build without optimisation.
std::string complaints(const ProcessResult& process);
/// Wants this exit code, nothing on stdout, and one line on stderr that begins with "perch" and
/// holds all of `words`.
void check_error(const ProcessResult& process, int exit_code,
                 const std::vector<std::string>& words);

std::vector<std::string> keys(const Json& object);

}  // namespace perch::test
