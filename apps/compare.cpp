// perch compare: runs a grid of cells and says what came of it.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/sha256.h>
#include <perch/experiments/findings.h>
#include <perch/io/folder_lock.h>
#include <perch/train/text.h>

#include "cell_runs.h"
#include "commands.h"
#include "compare_flags.h"
#include "data_checksum.h"
#include "experiment_folder.h"
#include "machine.h"
#include "probe.h"
#include "process.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t cells_without_yes = 10'000;
// Side by side is chosen where it promises this much more.
constexpr double worth_it = 1.1;

/// Refuses what the command would refuse, without running it.
void check_command(const Arguments& command, const std::string& label) {
  CLI::App app;
  const std::vector<Command> commands = {add_train(app), add_quantize(app)};
  std::vector<std::string> words(command.rbegin(), command.rend());  // CLI11 takes them backwards
  try {
    app.parse(words);
    for (const Command& parsed : commands) {
      if (parsed.app->parsed()) parsed.check();
    }
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::ranges::replace(message, '\n', ' ');
    fail(ErrorCode::usage, "cell {}: {}", label, message);
  } catch (const Error& error) {
    fail(error.code(), "cell {}: {}", label, error.what());
  }
}

std::string eight_digits(const Arguments& command, const std::string& data_checksum) {
  return datasets::sha256_of(
             fmt::format("{} {} {}", PERCH_VERSION, data_checksum, fmt::join(command, " ")))
      .substr(0, 8);
}

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

/// Every cell, each command once.
GridPlan plan_of(const Experiment& experiment, const Vocabulary& vocabulary,
                 const std::string& checksum) {
  GridPlan plan;
  std::set<std::string> starts, cells;
  for (const Cell& cell : cells_of(experiment)) {
    const std::string label = label_of(experiment, cell);
    StartPlan start;
    if (experiment.float_epochs > 0) {
      start.command = start_command(experiment, cell, vocabulary);
      start.id = fmt::format("s{}-{}", cell.seed, eight_digits(start.command, checksum));
    }
    const std::string from = start.id.empty() ? "" : start_file;
    CellPlan planned{"", cell, start.id, cell_command(experiment, cell, vocabulary, from)};
    Arguments whole = planned.command;
    whole.insert(whole.end(), start.command.begin(), start.command.end());
    const std::string digits = eight_digits(whole, checksum);
    // Settings of training make no cells of quantization after it.
    if (!cells.insert(digits).second) continue;
    planned.id = label + "-" + digits;
    check_command(planned.command, label);
    if (!start.id.empty() && starts.insert(start.id).second) {
      check_command(start.command, label + ", float start");
      plan.starts.push_back(std::move(start));
    }
    plan.cells.push_back(std::move(planned));
  }
  return plan;
}

double number_of(const Experiment& experiment, const Cell& cell, const char* name,
                 double otherwise) {
  const std::string* found = find(cell.settings, name);
  if (found == nullptr) found = find(experiment.train, name);
  return found == nullptr ? otherwise : std::atof(found->c_str());
}

/// Seconds of all that is left, were it done by one process at `rate` training images a second.
/// Passes without gradients go about three times as fast.
double estimate(const Experiment& experiment, const GridPlan& plan, const Provenance& data,
                double rate) {
  const auto train = static_cast<double>(data.train_images);
  const double test = static_cast<double>(data.test_images) / 3.0;
  double images = static_cast<double>(plan.starts.size()) *
                  (train * static_cast<double>(experiment.float_epochs) + test);
  for (const CellPlan& cell : plan.cells) {
    const bool trains = cell.command.front() == "train";
    const double epochs = trains ? number_of(experiment, cell.cell, "epochs", 1.0) : 0.0;
    images += train * epochs + 4.0 * test;
  }
  return images / rate;
}

/// How many cells at once.
int choose_jobs(const std::string& jobs, const ProbeResult& probe, std::size_t cells) {
  const int cores = thread_count();
  if (jobs != "auto") {
    int number = 0;
    const auto [end, error] = std::from_chars(jobs.data(), jobs.data() + jobs.size(), number);
    PERCH_CHECK(
        error == std::errc() && end == jobs.data() + jobs.size() && number >= 1 && number <= 1024,
        "--jobs is {}, must be auto or a number from 1 to 1024", jobs);
    return number;
  }
  const double gain = probe.images_per_second_one_thread * cores / probe.images_per_second;
  return gain >= worth_it && cells >= static_cast<std::size_t>(cores) ? cores : 1;
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100.0 * share);
}

/// One line on a terminal, a line for each cell elsewhere.
class GridProgressLine {
 public:
  GridProgressLine(bool quiet, int side_by_side, double estimated)
      : quiet_(quiet),
        terminal_(isatty(STDERR_FILENO) == 1),
        side_by_side_(side_by_side),
        estimated_(estimated) {}
  ~GridProgressLine() { wipe(); }

  void show(const GridProgress& progress) {
    if (quiet_) return;
    if (progress.ended != nullptr) {
      wipe();
      const CellResult& cell = *progress.ended;
      fmt::print(stderr, "[{}/{}] {}: {}, {}, {} left\n", progress.done, progress.all, cell.id,
                 cell.failed() ? "FAILED, " + cell.failure : percent(cell.accuracy),
                 duration(cell.seconds), left(progress));
      return;
    }
    if (!terminal_) return;
    wipe();
    fmt::print(stderr, "[{}/{}] {}{}, {} left", progress.done, progress.all, progress.running,
               progress.epoch > 0 ? fmt::format(", epoch {}, {} images/s", progress.epoch,
                                                grouped(progress.images_per_second))
                                  : "",
               left(progress));
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  /// From what was done so far; the probe's word before that.
  std::string left(const GridProgress& progress) {
    if (!first_) first_ = progress.ended == nullptr ? progress.done : progress.done - 1;
    const std::chrono::duration<double> passed = Clock::now() - begin_;
    const auto done = static_cast<double>(progress.done - *first_);
    const auto rest = static_cast<double>(progress.all - progress.done);
    if (done < 1.0) {
      return "about " + duration(std::max(0.0, estimated_ / side_by_side_ - passed.count()));
    }
    return duration(passed.count() / done * rest);
  }
  void wipe() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

  using Clock = std::chrono::steady_clock;
  bool quiet_, terminal_, drawn_ = false;
  int side_by_side_;
  double estimated_;
  Clock::time_point begin_ = Clock::now();
  std::optional<std::int64_t> first_;
};

Json settings_json(const Cell& cell) {
  Json json = Json::object();
  for (const auto& [name, value] : cell.settings) json[name] = value;
  return json;
}

void show_plan(const GridPlan& plan, const Provenance& data, double seconds, double memory_mb,
               std::size_t waiting, Output& output) {
  for (const CellPlan& cell : plan.cells) {
    output.event({{"event", "cell"},
                  {"cell", cell.id},
                  {"seed", cell.cell.seed},
                  {"settings", settings_json(cell.cell)},
                  {"command", fmt::format("perch {}", fmt::join(cell.command, " "))}});
    output.text(fmt::format("{}\n    perch {}\n", cell.id, fmt::join(cell.command, " ")));
  }
  output.event({{"event", "result"},
                {"cells", plan.cells.size()},
                {"cells_to_run", waiting},
                {"float_starts", plan.starts.size()},
                {"side_by_side", plan.side_by_side},
                {"threads_each", plan.threads},
                {"estimated_seconds", seconds},
                {"estimated_peak_mb", memory_mb}});
  output.text(fmt::format(
      "{} cells, {} of them to run; {} float starts\n{} training and {} test images; {} at once "
      "with {} threads each; about {} and {:.0f} MB\n",
      plan.cells.size(), waiting, plan.starts.size(), data.train_images, data.test_images,
      plan.side_by_side, plan.threads, duration(seconds), memory_mb));
}

std::string table_of(const Results& results, const Findings& findings) {
  std::string text;
  for (const Group& group : findings.groups) {
    Settings shown;
    for (const Axis& axis : results.experiment.grid) {
      if (axis.values.size() > 1) shown.push_back({axis.name, *find(group.settings, axis.name)});
    }
    const std::string name = shown.empty() ? results.experiment.model : to_string(shown);
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

void compare(const CompareFlags& flags, Output& output) {
  const Vocabulary vocabulary = vocabulary_of_commands();
  const Experiment experiment = flags.experiment(vocabulary);
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

  GridPlan plan = plan_of(experiment, vocabulary, provenance.data_checksum);
  const fs::path folder = fs::absolute(flags.out).lexically_normal();
  check_experiment_folder(folder, experiment, provenance);
  std::vector<std::string> ids;
  for (const CellPlan& cell : plan.cells) ids.push_back(cell.id);

  std::size_t waiting = 0;
  for (const std::string& id : ids) {
    const auto held = read_cell(folder, id);
    waiting += !held || held->failed();
  }
  ProbeResult probe{1.0, 1.0};
  if (waiting > 0) probe = probe_training(experiment.model, image, classes);
  plan.side_by_side = choose_jobs(flags.jobs, probe, waiting);
  plan.threads = std::max(1, thread_count() / plan.side_by_side);
  provenance.threads = plan.threads;
  provenance.side_by_side = plan.side_by_side;
  const double together = plan.side_by_side == 1
                              ? probe.images_per_second
                              : probe.images_per_second_one_thread * plan.side_by_side;
  if (flags.dry_run) {
    GridPlan left = plan;
    std::erase_if(left.cells, [&](const CellPlan& cell) {
      const auto held = read_cell(folder, cell.id);
      return held && !held->failed();
    });
    return show_plan(plan, provenance, estimate(experiment, left, provenance, together),
                     peak_rss_mb() * plan.side_by_side, waiting, output);
  }

  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail(ErrorCode::cannot_create, "cannot write to {}: {}; choose another folder with --out",
         folder.string(), error.message());
  }
  const io::FolderLock lock(folder, "choose another folder with --out");
  write_experiment(folder, experiment, provenance, ids);
  std::erase_if(plan.cells, [&](const CellPlan& cell) {
    const auto held = read_cell(folder, cell.id);
    return held && !held->failed();  // what failed is tried again
  });
  std::set<std::string> wanted;
  for (const CellPlan& cell : plan.cells) wanted.insert(cell.start);
  std::erase_if(plan.starts, [&](const StartPlan& start) { return !wanted.contains(start.id); });
  plan.folder = folder;
  if (!provenance.data.empty()) plan.data = plan.evaluation = {"--data", provenance.data};
  if (!flags.quiet && waiting > 0) {
    fmt::print(stderr, "{} cells, {} at once with {} threads each{}\n", waiting, plan.side_by_side,
               plan.threads, flags.jobs == "auto" ? " (measured: the faster way here)" : "");
  }
  GridProgressLine line(flags.quiet, plan.side_by_side,
                        estimate(experiment, plan, provenance, together));
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
  output.event({{"event", "result"},
                {"cells", results.cells.size()},
                {"failed", failed},
                {"answer", findings.answer},
                {"report", (folder / "report.html").string()},
                {"results", (folder / "results.json").string()}});
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
    const Vocabulary vocabulary = vocabulary_of_commands();
    plan_of(flags->experiment(vocabulary), vocabulary, "");
  };
  return {app, [flags](Output& output) { compare(*flags, output); }, check_cells, flags->config()};
}
