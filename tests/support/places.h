// Where the tests' files and programs lie. Not in macros of every test's command line, which would
// keep a compiler cache from knowing the same test in another clone.
#pragma once

#include <string>

namespace perch::test {

std::string source_folder();
std::string build_folder();
std::string perch_program();

}  // namespace perch::test
