#include <algorithm>
#include <sstream>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

namespace perch::test {
namespace fs = std::filesystem;

std::vector<std::string> TestFolder::content() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(path())) {
    names.push_back(fs::relative(entry.path(), path()).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::uint8_t> records(int count) {
  std::vector<std::uint8_t> bytes;
  std::uint32_t noise = 1;
  for (int i = 0; i < count; ++i) {
    const int label = i % 10;
    bytes.push_back(static_cast<std::uint8_t>(label));
    for (int pixel = 0; pixel < 3072; ++pixel) {
      noise = noise * 1664525u + 1013904223u;
      const int pattern = pixel / 32 % 10 == label ? 160 : 20;
      bytes.push_back(static_cast<std::uint8_t>(pattern + (noise >> 26)));
    }
  }
  return bytes;
}

void write_file(const fs::path& file, const std::vector<std::uint8_t>& bytes) {
  write_file(file, std::string(bytes.begin(), bytes.end()));
}

std::string write_data(const TestFolder& folder, int train_count, int test_count) {
  const fs::path data = folder.path() / "data";
  fs::create_directories(data);
  write_file(data / "data_batch_1.bin", records(train_count));
  if (test_count > 0) write_file(data / "test_batch.bin", records(test_count));
  return data.string();
}

ProcessResult run_perch(const Arguments& arguments, const ProcessOptions& options) {
  Arguments command = {perch_program()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  ProcessOptions alone = options;
  alone.environment.try_emplace("PERCH_DATA_DIR", "");
  alone.environment.try_emplace("XDG_CACHE_HOME", "/nonexistent");
  return run_process(command, alone);
}

std::vector<Json> events(Arguments arguments) {
  arguments.push_back("--json");
  const ProcessResult process = run_perch(arguments);
  INFO(process.err);
  REQUIRE(process.exit_code == 0);
  std::vector<Json> events;
  std::istringstream lines(process.out);
  for (std::string line; std::getline(lines, line);) events.push_back(Json::parse(line));
  REQUIRE_FALSE(events.empty());
  return events;
}

Json result(const Arguments& arguments) {
  const Json last = events(arguments).back();
  REQUIRE(last.at("event") == "result");
  return last;
}

std::size_t count(const std::string& kind, const std::vector<Json>& events) {
  return static_cast<std::size_t>(
      std::ranges::count_if(events, [&](const Json& event) { return event.at("event") == kind; }));
}

std::string complaints(const ProcessResult& process) {
  std::string rest;
  std::istringstream lines(process.err);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("built without optimisation") == std::string::npos) rest += line + "\n";
  }
  return rest;
}

void check_error(const ProcessResult& process, int exit_code,
                 const std::vector<std::string>& words) {
  const std::string message = complaints(process);
  INFO(message);
  CHECK(process.exit_code == exit_code);
  CHECK(process.out.empty());
  CHECK(std::count(message.begin(), message.end(), '\n') == 1);
  CHECK(message.starts_with("perch"));
  for (const auto& word : words) CHECK_THAT(message, Catch::Contains(word));
}

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) names.push_back(item.key());
  return names;
}

}  // namespace perch::test
