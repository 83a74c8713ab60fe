// An experiment's TOML file, to the commands of its cells.
#include <perch/experiments/experiment_file.h>

#include "fuzz/harness.h"

using namespace perch;
using namespace perch::experiments;

namespace {

const Vocabulary& vocabulary() {
  static const SettingKey epochs{.name = "epochs", .kind = SettingKind::integer},
      bits{.name = "weight_bits", .kind = SettingKind::integer, .quantization = true},
      quantizer{.name = "quantizer", .quantization = true},
      range{.name = "weight_range",
            .kind = SettingKind::number,
            .count = SettingCount::words,
            .quantization = true},
      augment{.name = "augment", .kind = SettingKind::flag},
      width{.name = "width", .kind = SettingKind::number};
  static const Vocabulary words = {.train = {epochs, bits, quantizer, range, augment, width,
                                             key_of(*find_flag_setting("granularity"))},
                                   .quantize = {bits, quantizer, range}};
  return words;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  file.write(fuzz::text(data, size));
  return fuzz::run(size, [] {
    const Experiment experiment = read_experiment(file.path(), vocabulary());
    check(experiment, vocabulary());
    question_of(experiment);
    const std::vector<Cell> cells = cells_of(experiment);
    for (std::size_t i = 0; i < cells.size() && i < 10; ++i) {
      label_of(experiment, cells[i]);
      start_command(experiment, cells[i], vocabulary());
      cell_command(experiment, cells[i], vocabulary(), "start.h5");
    }
  });
}
