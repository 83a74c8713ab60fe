// An experiment's TOML file, to the commands of its cells.
#include <perch/experiments/experiment_file.h>

#include "fuzz/harness.h"
#include "tests/support/vocabulary.h"

using namespace perch;
using namespace perch::experiments;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Vocabulary vocabulary = test::vocabulary();
  static fuzz::MemoryFile file;
  file.write(fuzz::text(data, size));
  return fuzz::run(size, [] {
    const Experiment experiment = read_experiment(file.path(), vocabulary);
    check(experiment, vocabulary);
    question_of(experiment);
    const std::vector<Cell> cells = cells_of(experiment);
    for (std::size_t i = 0; i < cells.size() && i < 10; ++i) {
      label_of(experiment, cells[i]);
      start_command(experiment, cells[i], vocabulary);
      cell_command(experiment, cells[i], vocabulary, "start.h5");
    }
  });
}
