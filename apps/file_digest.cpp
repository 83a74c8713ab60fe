#include "file_digest.h"

#include <fstream>
#include <iterator>

#include <perch/datasets/sha256.h>

std::string file_digest(const std::filesystem::path& file) {
  std::ifstream content(file, std::ios::binary);
  return perch::datasets::sha256_of(std::string(std::istreambuf_iterator<char>(content), {}));
}
