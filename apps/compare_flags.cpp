#include "compare_flags.h"

#include <algorithm>
#include <array>
#include <limits>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/core/warn.h>
#include <perch/experiments/experiment_file.h>
#include <perch/models/models.h>

#include "commands.h"
#include "config.h"
#include "flags.h"
#include "option_settings.h"

using namespace perch;
using namespace perch::experiments;

namespace {

/// "KEY=VALUE"
Setting assignment(const char* flag, const std::string& text) {
  const std::size_t equals = text.find('=');
  PERCH_CHECK(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
              "{} {}: write KEY=VALUE", flag, text);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace

Vocabulary vocabulary_of_commands() {
  CLI::App app;
  return {setting_keys(*add_train(app).app), setting_keys(*add_quantize(app).app)};
}

bool CompareFlags::is_file() const {
  return what_.ends_with(".toml");
}

void CompareFlags::add_to(CLI::App& app) {
  app.add_option("WHAT", what_, "An experiment's file, or a network; several with commas")
      ->type_name(fmt::format("FILE.toml|{}", fmt::join(model_names(), "|")))
      ->required();
  app.add_option("--out", out, "Folder of the experiment: made, or gone on with")
      ->type_name("DIR")
      ->required();
  app.add_option("--data", data,
                 "Folder with data_batch_*.bin and test_batch.bin; else PERCH_DATA_DIR or the "
                 "user's cache folder")
      ->type_name("DIR");
  const std::string group = "Grid (values with commas between them; every combination is a cell)";
  const std::array<std::tuple<const char*, std::string*, const char*>, 7> axes = {
      {{"--methods", &methods_, "qat, ptq"},
       {"--quantizers", &quantizers_, "How weights are quantized: train's --quantizer"},
       {"--granularity", &granularities_, "per_tensor, per_channel"},
       {"--symmetry", &symmetries_, "symmetric, asymmetric"},
       {"--range", &ranges_, "full, narrow"},
       {"--weight-bits", &weight_bits_, "1 to 16"},
       {"--activation-bits", &activation_bits_, "1 to 16"}}};
  for (const auto& [name, value, text] : axes) {
    app.add_option(name, *value, text)->type_name("A,B,...")->group(group);
  }
  app.add_option("--grid", grid_, "Any other option of train, such as optimizer=adam,sgd")
      ->type_name("KEY=A,B,...")
      ->group(group)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--seeds", seeds_, "How many seeds each setting has; default: 4")
      ->type_name("N")
      ->group(group);
  app.add_option("--first-seed", first_seed_, "The first of them; default: 0")
      ->type_name("N")
      ->group(group);
  app.add_option("--question", question_,
                 "The axis whose values are compared; default: granularity, else the first")
      ->type_name("AXIS");
  app.add_option("--epochs", epochs_, "Of every cell that trains; default: 1")->type_name("N");
  app.add_option("--float-epochs", float_epochs_,
                 "Of the float model that a seed's cells begin with; default: fresh weights")
      ->type_name("N");
  config_ = std::make_shared<Config>(app);
  config_->add_to_command_line(what_);
  app.add_option("--jobs", jobs,
                 "Cells at once, with the threads shared out; auto: what is faster here")
      ->type_name("N|auto")
      ->capture_default_str();
  app.add_flag("--dry-run", dry_run, "Show the cells, time and memory, and do nothing");
  app.add_flag("--yes", yes, "Run more than 10,000 cells");
  app.add_flag("--quiet", quiet, "No progress");
}

void CompareFlags::warn_of_unused(const Vocabulary& vocabulary) const {
  const std::vector<SettingKey> used = cell_keys(vocabulary);
  const auto is_usual = [&](const ConfigEntry& entry) {
    return entry.value() == find_key(vocabulary.train, entry.key)->usual;
  };
  std::vector<std::string> unused;
  for (const ConfigEntry& entry : config_->entries()) {
    const bool own = entry.key == "model" || entry.key == "data" || entry.key == "question" ||
                     entry.key == "seeds";
    const bool of_training = entry.table.empty() || entry.table == "train";
    if (!of_training || own || find_key(used, entry.key) != nullptr) continue;
    if (!is_usual(entry)) unused.push_back(entry.key);
  }
  if (unused.empty()) return;
  warn(fmt::format("{}: of a single training, not used by a comparison: {}", what_,
                   fmt::join(unused, ", ")));
}

/// An axis of one network is none: cells are called the same with and without it.
void CompareFlags::take_model(Experiment& experiment) const {
  const auto axis = std::ranges::find(experiment.grid, "model", &Axis::name);
  if (axis != experiment.grid.end()) experiment.model.clear();
  if (axis != experiment.grid.end() && axis->values.size() == 1) {
    experiment.model = axis->values.front();
    experiment.grid.erase(axis);
  }
  if (models_of(experiment).empty()) {
    fail(ErrorCode::bad_data, "{}: there is no model; write model = \"temp_net\"", what_);
  }
  for (const std::string& model : models_of(experiment)) {
    check_choice("model", model, model_names());
  }
}

Experiment CompareFlags::experiment(const Vocabulary& vocabulary) const {
  Experiment result = experiment_from(config_->entries(), vocabulary);
  if (!is_file()) result.grid.insert(result.grid.begin(), {"model", parts_of(what_)});
  const std::array<std::pair<const char*, const std::string*>, 7> axes = {
      {{"method", &methods_},
       {"quantizer", &quantizers_},
       {"granularity", &granularities_},
       {"symmetry", &symmetries_},
       {"range", &ranges_},
       {"weight_bits", &weight_bits_},
       {"activation_bits", &activation_bits_}}};
  for (const auto& [name, values] : axes) {
    if (!values->empty()) put(result.grid, {name, parts_of(*values)});
  }
  for (const std::string& text : grid_) {
    const auto [name, values] = assignment("--grid", text);
    put(result.grid, {name, parts_of(values)});
  }
  take_model(result);
  if (epochs_) put(result.train, Setting{"epochs", std::to_string(*epochs_)});
  if (float_epochs_) result.float_epochs = *float_epochs_;
  if (!question_.empty()) result.question = question_;
  if (seeds_ || first_seed_) {
    PERCH_CHECK(seeds_.value_or(1) >= 1, "--seeds is {}, must be at least 1", seeds_.value_or(0));
    PERCH_CHECK(first_seed_.value_or(0) >= 0, "--first-seed is {}, must not be negative",
                first_seed_.value_or(0));
    PERCH_CHECK(seeds_.value_or(1) <= most_cells, "--seeds is {}, must be at most {}",
                seeds_.value_or(0), most_cells);
    const std::int64_t count = seeds_.value_or(static_cast<std::int64_t>(result.seeds.size()));
    PERCH_CHECK(first_seed_.value_or(0) <= std::numeric_limits<std::int64_t>::max() - count,
                "--first-seed is {}, too large for {} seeds", first_seed_.value_or(0), count);
    result.seeds.clear();
    for (std::int64_t i = 0; i < count; ++i) result.seeds.push_back(first_seed_.value_or(0) + i);
  }
  check(result, vocabulary);
  return result;
}
