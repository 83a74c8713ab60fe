// Counts the memory in use: under the address sanitizer all of it, else what operator new gives.
#pragma once

#include <cstdint>

namespace perch::fuzz {

void count_memory();  ///< from the first call on
void note_taken(std::int64_t bytes);
void note_given_back(std::int64_t bytes);

}  // namespace perch::fuzz
