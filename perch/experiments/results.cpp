#include <fstream>
#include <sstream>

#include <perch/core/check.h>
#include <perch/experiments/results.h>

namespace perch::experiments {

std::vector<bool> read_predictions(const std::filesystem::path& file) {
  std::ifstream lines(file, std::ios::binary);
  if (!lines) fail(ErrorCode::missing_input, "cannot read {}", file.string());
  std::string line;
  std::getline(lines, line);
  if (line != "index,label,predicted") {
    fail(ErrorCode::bad_data, "{}, line 1: \"{}\" should be index,label,predicted", file.string(),
         line);
  }
  std::vector<bool> right;
  while (std::getline(lines, line)) {
    std::int64_t index = -1, label = -1, predicted = -1;
    char first = 0, second = 0;
    std::istringstream fields(line);
    fields >> index >> first >> label >> second >> predicted;
    if (!fields || first != ',' || second != ',' ||
        index != static_cast<std::int64_t>(right.size())) {
      fail(ErrorCode::bad_data, "{}, line {}: \"{}\" is no index, label and predicted class",
           file.string(), right.size() + 2, line);
    }
    right.push_back(label == predicted);
  }
  return right;
}

}  // namespace perch::experiments
