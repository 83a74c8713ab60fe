#include <fmt/format.h>

#include <perch/experiments/csv.h>

namespace perch::experiments {
namespace {

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string field(const std::optional<double>& number) {
  return number ? fmt::format("{}", *number) : "";
}

}  // namespace

std::string to_csv(const Results& results) {
  std::string text = "cell,seed";
  for (const Axis& axis : results.experiment.grid) text += fmt::format(",{}", field(axis.name));
  text += ",status,test_accuracy,start_accuracy,train_accuracy,val_accuracy,model_bytes,seconds\n";
  for (const CellResult& cell : results.cells) {
    text += fmt::format("{},{}", field(cell.id), cell.cell.seed);
    for (const Setting& setting : cell.cell.settings)
      text += fmt::format(",{}", field(setting.value));
    std::optional<double> accuracy, train, val;
    if (!cell.failed()) accuracy = cell.accuracy;
    if (!cell.epochs.empty()) {
      train = cell.epochs.back().accuracy;
      val = cell.epochs.back().val_accuracy;
    }
    text += fmt::format(",{},{},{},{},{},{},{:.3f}\n", cell.failed() ? "failed" : "done",
                        field(accuracy), field(cell.start_accuracy), field(train), field(val),
                        cell.model_bytes, cell.seconds);
  }
  return text;
}

}  // namespace perch::experiments
