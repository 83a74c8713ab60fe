// "Did you mean": the nearest valid word, for error messages.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace perch {

/// The candidate with the least edit distance to `word`; empty when there is no candidate.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b, c (nearest: b)", the tail of a message about an unknown word.
std::string choices(std::string_view word, const std::vector<std::string>& candidates);

/// Place of a word among names, such as an enumeration's in its order. Throws Error(usage):
/// 'unknown WHAT "word"; there are a, b, c (nearest: b)'.
std::size_t index_of(std::string_view what, std::string_view word,
                     const std::vector<std::string>& names);

}  // namespace perch
