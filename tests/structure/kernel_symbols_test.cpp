// Code compiled for one instruction set must not be merged with code for another: no weak symbol
// leaves a kernel object unless its name says which instruction set it is for.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <tests/support/places.h>

#include <perch/core/sanitizers.h>

namespace fs = std::filesystem;

TEST_CASE("weak symbols of the kernels name their instruction set", "[slow]") {
  if (PERCH_ADDRESS_SANITIZER || PERCH_THREAD_SANITIZER) {
    WARN("sanitizers add symbols of their own");
    return;
  }
  int objects = 0, symbols = 0;
  for (const auto& entry : fs::recursive_directory_iterator(perch::test::build_folder())) {
    const std::string path = entry.path().string();
    const auto at = path.find("perch_kernels_");
    if (at == std::string::npos || entry.path().extension() != ".o") continue;
    ++objects;
    FILE* const pipe = popen(("nm -C --defined-only '" + path + "'").c_str(), "r");
    REQUIRE(pipe != nullptr);
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
      const std::string line = buffer;
      ++symbols;
      const bool weak = line.size() > 18 && (line[17] == 'W' || line[17] == 'V' || line[17] == 'u');
      if (!weak) continue;
      INFO(path << ": " << line);
      const bool names_its_arch = line.find("avx512") != std::string::npos ||
                                  line.find("avx2") != std::string::npos ||
                                  line.find("sse2") != std::string::npos ||
                                  line.find("(anonymous namespace)") != std::string::npos ||
                                  line.find("DW.ref.__gxx_personality") != std::string::npos;
      CHECK(names_its_arch);
    }
    CHECK(pclose(pipe) == 0);
  }
  CHECK(objects > 0);
  CHECK(symbols > objects);
}
