#include "cell_runs.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/experiments/results_json.h>

#include "cell_events.h"
#include "experiment_folder.h"
#include "run_pool.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

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
    if (!start_.file.empty()) return taking_over();
    return joined({start_.command,
                   plan_.data,
                   place(fs::path("starts") / start_.id, "start"),
                   threads_of(plan_),
                   resuming(start_.command),
                   {"--json", "--quiet"}});
  }
  void take(const Json& event) override {
    if (event.value("event", "") != "result") return;
    const bool taken = !start_.file.empty();
    result_ = {{"model", taken ? Json(copy().string()) : event.at("model")},
               {"test_accuracy", event.at(taken ? "accuracy" : "test_accuracy")}};
  }
  void end(const std::string& failure, double) override {
    result_["failure"] = failure;
    if (!failure.empty()) return;
    write_text(folder() / "start.json", result_.dump(1) + "\n");
    drop_checkpoints(folder());
  }
  const Json& result() const { return result_; }

 private:
  /// Of a model that is there already, seen from the experiment's folder.
  fs::path copy() const {
    return (fs::path("starts") / start_.id / "start_float")
        .concat(start_.file.extension().string());
  }
  Arguments taking_over() const {
    std::error_code error;
    fs::copy_file(start_.file, plan_.folder / copy(), fs::copy_options::overwrite_existing, error);
    if (error) {
      fail(ErrorCode::io, "cannot copy {} to {}: {}", start_.file.string(),
           (plan_.folder / copy()).string(), error.message());
    }
    return joined({{"evaluate", copy().string()}, plan_.evaluation, threads_of(plan_), {"--json"}});
  }

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
        if (!quantizes(cell_.command)) return std::nullopt;
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

}  // namespace

std::int64_t run_grid(const GridPlan& plan, const std::function<void(const GridProgress&)>& tell) {
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
  RunPool pool(plan.folder, plan.side_by_side);
  const RunPool::Said said = [&](Run& run, const Json& event) {
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
