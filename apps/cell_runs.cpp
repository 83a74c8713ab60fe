#include "cell_runs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/experiments/results_json.h>

#include "cell_events.h"
#include "child_process.h"
#include "experiment_folder.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

std::string last_line(const fs::path& file) {
  std::ifstream input(file);
  std::string last;
  for (std::string line; std::getline(input, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

/// Commands one after the other, with one log.
class Run {
 public:
  Run(fs::path folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}
  virtual ~Run() = default;

  const std::string& name() const { return name_; }
  const fs::path& folder() const { return folder_; }
  fs::path log() const { return folder_ / "log.txt"; }
  /// The next command; nothing when all is done.
  virtual std::optional<Arguments> next() = 0;
  virtual void take(const Json& event) = 0;
  /// After the last command, or the one that failed; empty: none did.
  virtual void end(const std::string& failure, double seconds) = 0;

 private:
  fs::path folder_;
  std::string name_;
};

Arguments joined(std::initializer_list<Arguments> parts) {
  Arguments all;
  for (const Arguments& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Arguments threads_of(const GridPlan& plan) {
  return {"--threads", std::to_string(plan.threads)};
}

/// Where a command puts its model, seen from the experiment's folder.
Arguments place(const fs::path& folder, const std::string& name) {
  return {"--save", folder.string(), "--name", name};
}

/// A training goes on where an interrupted one was. What is complete needs no checkpoints.
Arguments resuming(const Arguments& command) {
  return command.front() == "train" ? Arguments{"--resume", "auto", "--keep", "1"} : Arguments();
}
void drop_checkpoints(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".checkpoints") fs::remove_all(entry.path(), ignored);
  }
  // Links to what is gone.
  for (const auto& run : fs::directory_iterator(folder / "runs", ignored)) {
    fs::remove(run.path() / "checkpoints", ignored);
  }
}

class StartRun final : public Run {
 public:
  StartRun(const GridPlan& plan, const StartPlan& start)
      : Run(plan.folder / "starts" / start.id, start.id), plan_(plan), start_(start) {}

  std::optional<Arguments> next() override {
    if (std::exchange(begun_, true)) return std::nullopt;
    return joined({start_.command,
                   plan_.data,
                   place(fs::path("starts") / start_.id, "start"),
                   threads_of(plan_),
                   resuming(start_.command),
                   {"--json", "--quiet"}});
  }
  void take(const Json& event) override {
    if (event.value("event", "") == "result") {
      result_ = {{"model", event.at("model")}, {"test_accuracy", event.at("test_accuracy")}};
    }
  }
  void end(const std::string& failure, double) override {
    result_["failure"] = failure;
    if (!failure.empty()) return;
    write_text(folder() / "start.json", result_.dump(1) + "\n");
    drop_checkpoints(folder());
  }
  const Json& result() const { return result_; }

 private:
  const GridPlan& plan_;
  const StartPlan& start_;
  bool begun_ = false;
  Json result_ = Json::object();
};

class CellRun final : public Run {
 public:
  CellRun(const GridPlan& plan, const CellPlan& cell, const Json& start)
      : Run(plan.folder / "cells" / cell.id, cell.id), plan_(plan), cell_(cell), start_(start) {
    result_.id = cell.id;
    result_.cell = cell.cell;
    if (!start.is_null()) result_.start_accuracy = start.at("test_accuracy").get<double>();
  }

  std::optional<Arguments> next() override {
    switch (step_++) {
      case 0:
        return making();
      case 1:
        return joined({{"evaluate", result_.model},
                       plan_.evaluation,
                       threads_of(plan_),
                       {"--predictions", (relative() / "predictions.csv").string(), "--json"}});
      case 2:
        if (is_float()) return std::nullopt;
        return joined({{"analyze", result_.model},
                       plan_.evaluation,
                       threads_of(plan_),
                       {"--channels", "--limit", "256", "--json", "--quiet"}});
      default:
        return std::nullopt;
    }
  }

  void take(const Json& event) override {
    const std::string kind = event.value("event", "");
    if (step_ == 1 && kind == "epoch") {
      // A training that goes back tells its epochs once more.
      result_.epochs.resize(event.at("epoch").get<std::size_t>());
      result_.epochs.push_back(epoch_from_event(event));
      result_.images_per_second = event.at("images_per_second");
    } else if (step_ == 1 && kind == "result") {
      result_.model = event.at("model");
      result_.run = event.value("run", "");
      if (event.contains("peak_rss_mb")) result_.peak_rss_mb = event.at("peak_rss_mb");
    } else if (step_ == 2 && kind == "result") {
      result_.accuracy = event.at("accuracy");
    } else if (step_ == 3 && kind == "result") {
      result_.layers = layers_from_event(event);
    }
  }

  void end(const std::string& failure, double seconds) override {
    result_.failure = failure;
    result_.seconds = seconds;
    std::error_code ignored;
    if (failure.empty()) {
      const auto size = fs::file_size(plan_.folder / result_.model, ignored);
      result_.model_bytes = static_cast<std::int64_t>(size);
    }
    write_text(folder() / "result.json", to_json(result_).dump(1) + "\n");
    if (failure.empty()) drop_checkpoints(folder());
  }

  const CellResult& result() const { return result_; }

 private:
  fs::path relative() const { return fs::path("cells") / cell_.id; }
  bool is_float() const {
    const std::string* const quantizer = find(cell_.cell.settings, "quantizer");
    return quantizer != nullptr && *quantizer == "none";
  }

  Arguments making() {
    Arguments command = cell_.command;
    for (std::string& word : command) {
      if (word == start_file) word = start_.at("model");
    }
    command = joined({command, plan_.data, place(relative(), "model")});
    result_.command = fmt::format("perch {}", fmt::join(command, " "));
    return joined({command, threads_of(plan_), resuming(command), {"--json", "--quiet"}});
  }

  const GridPlan& plan_;
  const CellPlan& cell_;
  Json start_;
  CellResult result_;
  int step_ = 0;
};

std::string failure_of(const Run& run, int status) {
  const std::string said = last_line(run.log());
  if (status > 128) {
    return fmt::format("ended by signal {}{}", status - 128,
                       status == 128 + SIGKILL ? " (out of memory?)" : "");
  }
  return said.empty() ? fmt::format("exit code {}", status) : said;
}

/// Up to so many runs at once.
class Pool {
 public:
  using Clock = std::chrono::steady_clock;
  using Said = std::function<void(Run&, const Json&)>;

  Pool(const fs::path& folder, int places) : folder_(folder), places_(places) {}

  /// Runs all; `said` hears their events, `ended` what came of them.
  void run(std::deque<std::unique_ptr<Run>> waiting, const Said& said,
           const std::function<void(Run&, bool failed)>& ended) {
    while (!waiting.empty() || !places_taken_.empty()) {
      while (!waiting.empty() && places_taken_.size() < static_cast<std::size_t>(places_)) {
        begin(std::move(waiting.front()));
        waiting.pop_front();
      }
      hear(said);
      for (std::size_t i = 0; i < places_taken_.size();) {
        if (go_on(places_taken_[i], ended)) {
          ++i;
        } else {
          places_taken_.erase(places_taken_.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
    }
  }

 private:
  struct Place {
    std::unique_ptr<Run> run;
    std::unique_ptr<ChildProcess> process;
    Clock::time_point start;
    bool silent = false;  // its output has ended
  };

  void begin(std::unique_ptr<Run> run) {
    std::error_code error;
    fs::create_directories(run->folder(), error);  // checkpoints of an interrupted one stay
    if (error) {
      fail(ErrorCode::cannot_create, "cannot write to {}: {}", run->folder().string(),
           error.message());
    }
    Place& place = places_taken_.emplace_back();
    place.start = Clock::now();
    place.process = std::make_unique<ChildProcess>(*run->next(), folder_, run->log());
    place.run = std::move(run);
  }

  void hear(const Said& said) {
    std::vector<pollfd> outputs;
    for (const Place& place : places_taken_) {
      outputs.push_back({place.process->output(), POLLIN, 0});
    }
    const int ready = ::poll(outputs.data(), outputs.size(), 500);
    if (interrupt_requested()) {
      // All at once: each saves its state and ends.
      for (Place& place : places_taken_) place.process->ask_to_stop();
      places_taken_.clear();
      fail(ErrorCode::interrupted, "interrupted; the same command goes on with it");
    }
    if (ready <= 0) return;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].revents == 0) continue;
      std::vector<std::string> lines;
      places_taken_[i].silent = !places_taken_[i].process->read(lines);
      for (const std::string& line : lines) {
        const Json event = Json::parse(line, nullptr, false);
        if (event.is_object()) {
          places_taken_[i].run->take(event);
          said(*places_taken_[i].run, event);
        }
      }
    }
  }

  /// False when the run has ended.
  bool go_on(Place& place, const std::function<void(Run&, bool)>& ended) {
    if (!place.silent) return true;
    const int status = place.process->wait();
    if (interrupt_requested()) return true;  // the next round sees to it
    const std::chrono::duration<double> seconds = Clock::now() - place.start;
    const std::string failure = status == 0 ? "" : failure_of(*place.run, status);
    if (failure.empty()) {
      if (const auto next = place.run->next()) {
        place.process = std::make_unique<ChildProcess>(*next, folder_, place.run->log());
        place.silent = false;
        return true;
      }
    }
    place.run->end(failure, seconds.count());
    ended(*place.run, !failure.empty());
    return false;
  }

  fs::path folder_;
  int places_;
  std::vector<Place> places_taken_;
};

}  // namespace

std::int64_t run_grid(const GridPlan& plan, const std::function<void(const GridProgress&)>& tell) {
  const InterruptOnSignals signals;
  GridProgress progress;
  progress.all = static_cast<std::int64_t>(plan.starts.size() + plan.cells.size());
  std::map<std::string, Json> starts;
  std::deque<std::unique_ptr<Run>> waiting;
  for (const StartPlan& start : plan.starts) {
    const fs::path file = plan.folder / "starts" / start.id / "start.json";
    std::error_code ignored;
    if (fs::exists(file, ignored)) {
      starts[start.id] = read_json(file);
      ++progress.done;
    } else {
      waiting.push_back(std::make_unique<StartRun>(plan, start));
    }
  }
  Pool pool(plan.folder, plan.side_by_side);
  const Pool::Said said = [&](Run& run, const Json& event) {
    progress.running = run.name();
    progress.ended = nullptr;
    progress.epoch = 0;
    if (event.value("event", "") == "epoch") {
      progress.epoch = event.at("epoch").get<std::int64_t>() + 1;
      progress.images_per_second = event.at("images_per_second");
    }
    tell(progress);
  };
  pool.run(std::move(waiting), said, [&](Run& run, bool) {
    ++progress.done;
    starts[run.name()] = static_cast<StartRun&>(run).result();
  });

  waiting.clear();
  std::int64_t failed = 0;
  const auto finish = [&](Run& run, bool broken) {
    failed += broken;
    ++progress.done;
    progress.running = run.name();
    progress.ended = &static_cast<CellRun&>(run).result();
    tell(progress);
  };
  for (const CellPlan& cell : plan.cells) {
    const Json start = cell.start.empty() ? Json() : starts.at(cell.start);
    if (!start.is_null() && start.at("failure") != "") {
      CellRun run(plan, cell, Json());
      std::error_code ignored;
      fs::create_directories(run.folder(), ignored);
      run.end("its float start failed: " + start.at("failure").get<std::string>(), 0.0);
      finish(run, true);
    } else {
      waiting.push_back(std::make_unique<CellRun>(plan, cell, start));
    }
  }
  pool.run(std::move(waiting), said, finish);
  return failed;
}
