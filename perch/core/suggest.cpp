#include <algorithm>
#include <numeric>

#include <perch/core/check.h>
#include <perch/core/suggest.h>

namespace perch {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substitute, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto best =
      std::min_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
        return edit_distance(word, a) < edit_distance(word, b);
      });
  return best == candidates.end() ? std::string() : *best;
}

std::string choices(std::string_view word, const std::vector<std::string>& candidates) {
  return fmt::format("{} (nearest: {})", fmt::join(candidates, ", "), nearest(word, candidates));
}

std::size_t index_of(std::string_view what, std::string_view word,
                     const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), word);
  PERCH_CHECK(found != names.end(), "unknown {} \"{}\"; there are {}", what, word,
              choices(word, names));
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace perch
