// perch compare: runs a grid of cells and says what came of it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/datasets/cifar10.h>
#include <perch/experiments/findings.h>
#include <perch/io/atomic_file.h>
#include <perch/io/folder_lock.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/train/text.h>

#include "cell_runs.h"
#include "commands.h"
#include "compare_flags.h"
#include "data_checksum.h"
#include "experiment_folder.h"
#include "grid_estimate.h"
#include "grid_plan.h"
#include "machine.h"
#include "process.h"
#include "rule_files.h"
#include "start_files.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t cells_without_yes = 10'000;

/// Cells run in the experiment's folder, where a relative path would lead elsewhere.
std::string data_folder(const std::string& given) {
  const char* const usual = std::getenv("PERCH_DATA_DIR");
  return given.empty() && usual != nullptr ? usual : given;
}

/// The data set's facts; the images go again, as the cells read their own.
Provenance look_at_data(const std::string& folder, Shape& image, std::int64_t& classes) {
  const TrainTest data = datasets::cifar10(folder);
  if (data.test.size() == 0) {
    fail(ErrorCode::missing_input,
         "there is no test_batch.bin in {}; accuracies are those of test "
         "images",
         folder.empty() ? "the data folder" : folder);
  }
  Provenance result;
  result.data = folder.empty() ? "" : fs::absolute(folder).lexically_normal().string();
  result.data_checksum = data_checksum(data);
  result.train_images = data.train.size();
  result.test_images = data.test.size();
  image = data.train.image_shape();
  classes = data.train.classes();
  return result;
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100.0 * share);
}

/// One line on a terminal, a line for each cell elsewhere.
class GridProgressLine {
 public:
  /// `estimated` are the seconds of all that is left; none where nothing was measured.
  GridProgressLine(bool quiet, std::optional<double> estimated)
      : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), estimated_(estimated) {}
  ~GridProgressLine() { wipe(); }

  void show(const GridProgress& progress) {
    if (quiet_) return;
    if (progress.ended != nullptr) {
      wipe();
      const CellResult& cell = *progress.ended;
      fmt::print(stderr, "[{}/{}] {}: {}, {}{}\n", progress.done, progress.all, cell.id,
                 cell.failed() ? "FAILED, " + cell.failure : percent(cell.accuracy),
                 duration(cell.seconds), left(progress));
      return;
    }
    if (!terminal_) return;
    wipe();
    fmt::print(stderr, "[{}/{}] {}{}{}", progress.done, progress.all, progress.running,
               progress.epoch > 0 ? fmt::format(", epoch {}, {} images/s", progress.epoch,
                                                grouped(progress.images_per_second))
                                  : "",
               left(progress));
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  /// ", 3 min 05 s left", from what was done so far; the probe's word before that.
  std::string left(const GridProgress& progress) {
    if (!first_) first_ = progress.ended == nullptr ? progress.done : progress.done - 1;
    const std::chrono::duration<double> passed = Clock::now() - begin_;
    const auto done = static_cast<double>(progress.done - *first_);
    const auto rest = static_cast<double>(progress.all - progress.done);
    if (done >= 1.0) return ", " + duration(passed.count() / done * rest) + " left";
    if (!estimated_) return {};
    return ", about " + duration(std::max(0.0, *estimated_ - passed.count())) + " left";
  }
  void wipe() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

  using Clock = std::chrono::steady_clock;
  bool quiet_, terminal_, drawn_ = false;
  std::optional<double> estimated_;
  Clock::time_point begin_ = Clock::now();
  std::optional<std::int64_t> first_;
};

Json settings_json(const Cell& cell) {
  Json json = Json::object();
  for (const auto& [name, value] : cell.settings) json[name] = value;
  return json;
}

/// How cells share the machine, and why.
std::string to_string(const Way& way) {
  const auto& [count, threads] = way.arrangement;
  std::string text = fmt::format("{} at once with {} threads each", count, threads);
  if (way.one_by_one && way.side_by_side) {
    const bool shared = count > 1;
    const auto& taken = shared ? *way.side_by_side : *way.one_by_one;
    const auto& other = shared ? *way.one_by_one : *way.side_by_side;
    text += fmt::format(" (measured: {} images/s and {} in all, {} images/s and {} {})",
                        grouped(taken.images_per_second), duration(taken.seconds),
                        grouped(other.images_per_second), duration(other.seconds),
                        shared ? "one after another" : "side by side");
  } else if (way.estimate) {
    text += fmt::format("; about {}", duration(way.estimate->seconds));
  }
  return text;
}

void add(Json& event, const Way& way) {
  event["side_by_side"] = way.arrangement.side_by_side;
  event["threads_each"] = way.arrangement.threads;
  for (const auto& [name, measured] : {std::pair("measured_one_by_one", &way.one_by_one),
                                       std::pair("measured_side_by_side", &way.side_by_side)}) {
    event[name] = *measured ? Json{{"images_per_second", (*measured)->images_per_second},
                                   {"seconds", (*measured)->seconds}}
                            : Json();
  }
}

void show_plan(const GridPlan& plan, const Provenance& data, const Way& way, std::size_t waiting,
               Output& output) {
  for (const CellPlan& cell : plan.cells) {
    output.event({{"event", "cell"},
                  {"cell", cell.id},
                  {"seed", cell.cell.seed},
                  {"settings", settings_json(cell.cell)},
                  {"command", fmt::format("perch {}", fmt::join(cell.command, " "))}});
    output.text(fmt::format("{}\n    perch {}\n", cell.id, fmt::join(cell.command, " ")));
  }
  Json event{{"event", "result"},
             {"cells", plan.cells.size()},
             {"cells_to_run", waiting},
             {"float_starts", plan.starts.size()}};
  add(event, way);
  event["estimated_seconds"] = way.estimate ? Json(way.estimate->seconds) : Json();
  event["estimated_peak_mb"] = way.estimate ? Json(way.estimate->peak_mb) : Json();
  output.event(event);
  output.text(fmt::format(
      "{} cells, {} of them to run; {} float starts\n{} training and {} test images; {}\n",
      plan.cells.size(), waiting, plan.starts.size(), data.train_images, data.test_images,
      to_string(way)));
  if (way.estimate) {
    output.text(fmt::format("about {} and {:.0f} MB\n", duration(way.estimate->seconds),
                            way.estimate->peak_mb));
  }
}

std::string table_of(const Results& results, const Findings& findings) {
  std::string text;
  for (const Group& group : findings.groups) {
    Settings shown;
    for (const Axis& axis : results.experiment.grid) {
      if (axis.values.size() > 1) shown.push_back({axis.name, *find(group.settings, axis.name)});
    }
    const std::string name = shown.empty() ? network_names(results.experiment) : to_string(shown);
    if (!group.summary) {
      text += fmt::format("{:<60} failed\n", name);
      continue;
    }
    const statistics::Summary& s = *group.summary;
    text += fmt::format("{:<60} {:6.2f} %", name, s.mean);
    if (s.half_width) {
      text += fmt::format(" ± {:.2f}  ({:.2f} to {:.2f}, {} seeds)", *s.half_width, s.low, s.high,
                          s.count);
    }
    if (group.failed > 0) text += fmt::format("  {} failed", group.failed);
    text += "\n";
  }
  for (const Contrast& contrast : findings.contrasts) {
    const std::string others = to_string(contrast.others);
    text += fmt::format("{}{} against {}: {}\n", others.empty() ? "" : others + ": ",
                        contrast.second, contrast.first, contrast.verdict);
  }
  return text;
}

/// A network of each kind, width and shortcut that the grid has.
std::vector<std::unique_ptr<Model>> networks_of(const Experiment& experiment, const Shape& image) {
  std::vector<std::optional<float>> widths;
  for (const std::string& value : values_of(experiment, "width")) {
    widths.emplace_back(std::stof(value));
  }
  if (widths.empty()) widths.emplace_back();
  std::vector<std::optional<Shortcut>> shortcuts;
  for (const std::string& value : values_of(experiment, "shortcut")) {
    shortcuts.emplace_back(shortcut_of(value));
  }
  if (shortcuts.empty()) shortcuts.emplace_back();
  std::vector<std::unique_ptr<Model>> networks;
  for (const std::string& model : models_of(experiment)) {
    for (const auto& width : widths) {
      for (const auto& shortcut : shortcuts) {
        networks.push_back(
            make_model(model, {.width = width, .shortcut = shortcut, .image = image}));
        networks.back()->build(image);
      }
    }
  }
  return networks;
}

/// Bytes that the cells leave in the folder: model, predictions and the run's record; and, while
/// one runs, its checkpoints with the optimizer's state.
double space_needed(const GridPlan& left, const std::vector<std::unique_ptr<Model>>& networks,
                    const Provenance& data) {
  double largest = 0.0;
  for (const auto& network : networks) {
    const ParameterCount count = count_parameters(*network);
    largest = std::max(largest, 4.0 * static_cast<double>(count.trainable + count.other));
  }
  constexpr double record = 100e3, per_prediction = 10.0, of_checkpoints = 8.0;
  const auto models = static_cast<double>(left.cells.size() + left.starts.size());
  return models * (largest + record + per_prediction * static_cast<double>(data.test_images)) +
         of_checkpoints * largest;
}

/// What there is no result of yet: cells, those that failed too, and the starts that they wait for.
GridPlan left_of(const GridPlan& plan, const fs::path& folder) {
  GridPlan left = plan;
  std::erase_if(left.cells, [&](const CellPlan& cell) {
    const auto held = read_cell(folder, cell.id);
    return held && !held->failed();
  });
  std::erase_if(left.starts, [&](const StartPlan& start) {
    const bool wanted =
        std::ranges::find(left.cells, start.id, &CellPlan::start) != left.cells.end();
    std::error_code ignored;
    return !wanted || fs::exists(folder / "starts" / start.id / "start.json", ignored);
  });
  return left;
}

void compare(const CompareFlags& flags, Output& output) {
  const Vocabulary vocabulary = vocabulary_of_commands();
  Experiment experiment = flags.experiment(vocabulary);
  const RuleFiles rules(experiment);
  const StartFiles starts(experiment);
  if (!flags.quiet) flags.warn_of_unused(vocabulary);
  std::size_t number = experiment.seeds.size();
  for (const Axis& axis : experiment.grid) number *= axis.values.size();
  PERCH_CHECK(number <= cells_without_yes || flags.yes,
              "the grid has {} cells; that many need --yes, or leave values out", number);

  Shape image;
  std::int64_t classes = 0;
  const std::string data = data_folder(flags.data);
  Provenance provenance = look_at_data(data, image, classes);
  provenance.version = PERCH_VERSION;
  provenance.compiler = compiler();
  provenance.cpu = cpu_name();
  provenance.instruction_set = kernels::active().arch;
  provenance.command = command_line();

  GridPlan plan = plan_of(experiment, vocabulary, rules, starts, provenance.data_checksum);
  // Settings are numbers from here on.
  const auto networks = networks_of(experiment, image);
  for (const auto& network : networks) rules.check_fit(*network);
  starts.check_fit(experiment, networks);
  const fs::path folder = fs::absolute(flags.out).lexically_normal();
  check_experiment_folder(folder, experiment, provenance);
  const auto held = cell_folders(folder);
  for (CellPlan& cell : plan.cells) {
    if (const auto found = held.find(cell.digest); found != held.end()) cell.id = found->second;
  }
  std::vector<std::string> ids;
  for (const CellPlan& cell : plan.cells) ids.push_back(cell.id);

  if (!provenance.data.empty()) plan.data = plan.evaluation = {"--data", provenance.data};
  const GridPlan left = left_of(plan, folder);
  const std::size_t waiting = left.cells.size();
  const GridProbe probe(left, provenance.train_images, provenance.test_images);
  const Way way = choose_way(flags.jobs, probe, waiting, flags.dry_run);
  if (flags.dry_run) return show_plan(plan, provenance, way, waiting, output);
  check_space(folder, space_needed(left, networks, provenance));
  plan.side_by_side = provenance.side_by_side = way.arrangement.side_by_side;
  plan.threads = provenance.threads = way.arrangement.threads;
  if (way.one_by_one && way.side_by_side) {
    provenance.images_per_second_one_by_one = way.one_by_one->images_per_second;
    provenance.images_per_second_side_by_side = way.side_by_side->images_per_second;
  }

  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail(ErrorCode::cannot_create, "cannot write to {}: {}; choose another folder with --out",
         folder.string(), error.message());
  }
  const io::FolderLock lock(folder, "choose another folder with --out");
  io::remove_unfinished(folder / "");
  write_experiment(folder, experiment, provenance, ids);
  rules.copy_to(folder);
  plan.folder = folder;
  plan.cells = left.cells;
  std::set<std::string> wanted;
  for (const CellPlan& cell : plan.cells) wanted.insert(cell.start);
  std::erase_if(plan.starts, [&](const StartPlan& start) { return !wanted.contains(start.id); });
  if (!flags.quiet && waiting > 0) {
    fmt::print(stderr, "{} cells, {}\n", waiting, to_string(way));
  }
  GridProgressLine line(flags.quiet,
                        way.estimate ? std::optional(way.estimate->seconds) : std::nullopt);
  const std::int64_t failed = run_grid(plan, [&](const GridProgress& progress) {
    line.show(progress);
    if (progress.ended == nullptr) return;
    const CellResult& cell = *progress.ended;
    output.event({{"event", "cell"},
                  {"cell", cell.id},
                  {"status", cell.failed() ? "failed" : "done"},
                  {"test_accuracy", cell.failed() ? Json() : Json(cell.accuracy)},
                  {"failure", cell.failure},
                  {"seconds", cell.seconds}});
  });

  const Results results = read_results(folder);
  const Findings findings = findings_of(results);
  write_reports(folder, results);
  Json event{{"event", "result"},
             {"cells", results.cells.size()},
             {"failed", failed},
             {"answer", findings.answer},
             {"report", (folder / "report.html").string()},
             {"results", (folder / "results.json").string()}};
  add(event, way);
  output.event(event);
  output.text(table_of(results, findings) + fmt::format("\n{}\nreport: {}\n", findings.answer,
                                                        (folder / "report.html").string()));
  if (failed > 0) {
    fail(ErrorCode::failure, "{} of {} cells failed; {} says why", failed, ids.size(),
         (folder / "report.html").string());
  }
}

}  // namespace

Command add_compare(CLI::App& parent) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* app = parent.add_subcommand(
      "compare", "Train every combination of some settings, and say what makes a difference");
  app->footer(
      "Examples:\n  perch compare temp_net --quantizers all_values,moving_average --granularity "
      "per_tensor,per_channel --weight-bits 8,4 --seeds 4 --epochs 3 --data "
      "datasets/cifar10_mini --out experiments/granularity\n"
      "  perch compare experiment.toml --out experiments/mine --dry-run");
  flags->add_to(*app);
  const auto check_cells = [flags] {
    check_jobs(flags->jobs);
    const Vocabulary vocabulary = vocabulary_of_commands();
    Experiment experiment = flags->experiment(vocabulary);
    const RuleFiles rules(experiment);
    plan_of(experiment, vocabulary, rules, StartFiles(experiment), "");
  };
  return {app, [flags](Output& output) { compare(*flags, output); }, check_cells, flags->config(),
          true};
}
