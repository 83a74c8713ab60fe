#include <tests/support/places.h>

namespace perch::test {

std::string source_folder() {
  return PERCH_TEST_SOURCE_DIR;
}

std::string build_folder() {
  return PERCH_TEST_BINARY_DIR;
}

std::string perch_program() {
  return build_folder() + "/perch";
}

}  // namespace perch::test
