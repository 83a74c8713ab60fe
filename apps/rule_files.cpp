#include "rule_files.h"

#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/file_content.h>
#include <perch/io/atomic_file.h>
#include <perch/io/quant_config.h>

#include "file_digest.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {
constexpr const char *setting = "quant_config", *option = "--quant-config";
}

RuleFiles::RuleFiles(Experiment& experiment) {
  for (Axis& axis : experiment.grid) {
    if (axis.name != setting) continue;
    for (std::string& value : axis.values) take(value);
  }
  for (Setting& one : experiment.train) {
    if (one.name == setting) take(one.value);
  }
}

void RuleFiles::take(std::string& value) {
  const fs::path file = value;
  io::read_quant_config(file);
  File taken{file.stem().string(), fs::absolute(file).lexically_normal(), {}};
  taken.place = fs::path("quant_configs") / file_digest(file).substr(0, 8) / file.filename();
  for (const File& other : files_) {
    if (other.source == taken.source) {  // by an axis, and for all cells
      value = other.stem;
      return;
    }
    PERCH_CHECK(other.stem != taken.stem,
                "{} and {} are both called {}, and cells are known by that; rename one",
                other.source.string(), taken.source.string(), taken.stem);
  }
  value = taken.stem;
  files_.push_back(std::move(taken));
}

const RuleFiles::File& RuleFiles::of(const std::string& stem) const {
  return *std::ranges::find(files_, stem, &File::stem);
}

Arguments RuleFiles::given(Arguments command) const {
  const auto found = std::ranges::find(command, option);
  if (found != command.end()) *(found + 1) = of(*(found + 1)).source.string();
  return command;
}

Arguments RuleFiles::stored(Arguments command) const {
  const auto found = std::ranges::find(command, option);
  if (found != command.end()) *(found + 1) = of(*(found + 1)).place.string();
  return command;
}

void RuleFiles::check_fit(const Model& model) const {
  for (const File& file : files_) decide(model, io::read_quant_config(file.source));
}

void RuleFiles::copy_to(const fs::path& folder) const {
  for (const File& file : files_) {
    io::write_atomically(folder / file.place, file_content(file.source));
  }
}
