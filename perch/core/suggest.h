// "Did you mean": the nearest valid word, for error messages.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace perch {

/// The candidate with the least edit distance to `word`; empty when there is no candidate.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b, c (nearest: b)", the tail of a message about an unknown word.
std::string choices(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace perch
