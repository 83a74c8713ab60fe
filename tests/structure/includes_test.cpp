// The direction of the arrows between rooms, as docs/architecture.md draws it.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <tests/support/places.h>

namespace fs = std::filesystem;

namespace {

const std::map<std::string, std::set<std::string>> allowed = {
    {"core", {}},
    {"settings", {"core"}},
    {"statistics", {"core"}},
    {"datasets", {"core"}},
    {"layers", {"core"}},
    {"optim", {"core"}},
    {"models", {"core", "layers"}},
    {"quant", {"core", "layers"}},
    {"fuse", {"core", "layers", "quant"}},
    {"train", {"core", "layers", "quant", "optim", "datasets", "fuse"}},
    {"ptq", {"core", "layers", "quant", "optim", "datasets"}},
    {"analyze", {"core", "layers", "quant", "optim", "datasets", "train"}},
    {"io", {"core", "layers", "quant", "optim", "train", "datasets"}},
    {"experiments", {"core", "settings", "statistics", "datasets"}},
};

// Rooms and files under perch/ that a source includes: {"core/tensor.h", ...}.
std::vector<std::string> perch_includes(const fs::path& file) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*["<]perch/([^">]+)[">])re");
  std::vector<std::string> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_search(line, match, pattern)) found.push_back(match[1]);
  }
  return found;
}

std::vector<fs::path> sources_under(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (extension == ".h" || extension == ".cpp") files.push_back(entry.path());
  }
  return files;
}

const fs::path root = fs::path(perch::test::source_folder()) / "perch";

}  // namespace

TEST_CASE("every room includes lower rooms only") {
  std::size_t seen = 0;
  for (const auto& folder : fs::directory_iterator(root)) {
    if (!folder.is_directory()) continue;
    const std::string room = folder.path().filename();
    INFO("room " << room);
    REQUIRE(allowed.count(room) == 1);
    for (const fs::path& file : sources_under(folder.path())) {
      for (const std::string& include : perch_includes(file)) {
        const std::string other = include.substr(0, include.find('/'));
        INFO(file << " includes perch/" << include);
        CHECK((other == room || allowed.at(room).count(other) == 1));
        CHECK(fs::exists(root / include));
        ++seen;
      }
    }
  }
  CHECK(seen > 100);
}

TEST_CASE("kernels see pointers and small structs only") {
  for (const fs::path& file : sources_under(root / "core" / "kernels")) {
    if (file.filename() == "table.h") continue;  // the frame around them, for baseline code
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      static const std::regex pattern(R"re(^\s*#\s*include\s*["<]([^">]+)[">])re");
      std::smatch match;
      if (!std::regex_search(line, match, pattern)) continue;
      const std::string include = match[1];
      INFO(file << " includes " << include);
      CHECK((include.rfind("perch/core/kernels/", 0) == 0 || include == "xsimd/xsimd.hpp" ||
             include == "cstddef" || include == "cstdint" || include == "immintrin.h"));
    }
  }
}

TEST_CASE("public headers stay clear of xtensor, xsimd, fmt and HDF5") {
  static const std::regex pattern(
      R"re(#\s*include\s*<(xtensor|xsimd|fmt|hdf5|nlohmann|curl|archive|tbb)[/.])re");
  for (const fs::path& file : sources_under(root)) {
    if (file.extension() != ".h" || file.string().find("/kernels/") != std::string::npos) continue;
    const std::set<std::string> for_sources_only = {
        "check.h",     "xt_view.h",  "hdf5_writer.h",  "keras_config.h",
        "spec_json.h", "run_json.h", "results_json.h", "reading.h"};
    if (for_sources_only.count(file.filename())) continue;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      INFO(file << ": " << line);
      CHECK_FALSE(std::regex_search(line, pattern));
    }
  }
}
