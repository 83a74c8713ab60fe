#include "run_record.h"

#include <chrono>
#include <cstdlib>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/blas.h>
#include <perch/core/check.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/warn.h>

#include "data_checksum.h"
#include "machine.h"
#include "process.h"
#include "run_settings.h"

using namespace perch;
namespace fs = std::filesystem;

void RunFlags::add_to(CLI::App& app) {
  app.add_option(
         "--run-dir", parent_,
         "Where the run gets a folder with its settings, metrics and log; default: SAVE/runs")
      ->type_name("DIR");
  app.add_flag("--no-run-dir", none_, "No folder for the run");
}

void RunFlags::check() const {
  PERCH_CHECK(!none_ || parent_.empty(),
              "--run-dir and --no-run-dir exclude each other; leave one out");
}

std::optional<fs::path> RunFlags::parent(const fs::path& save) const {
  if (none_) return std::nullopt;
  return parent_.empty() ? save / "runs" : fs::path(parent_);
}

/// env.json: what is known at once, then what takes time. Images are summed up beside the training
/// once its first step is done.
class RunRecord::Environment final : public Callback {
 public:
  Environment(std::shared_ptr<io::RunFolder> folder, const RunStart& start)
      : folder_(std::move(folder)), data_(start.data) {
    facts_ = {{"version", PERCH_VERSION},
              {"compiler", compiler()},
              {"compiler_flags", compiler_flags()},
              {"cpu", cpu_name()},
              {"instruction_set", std::string(kernels::active().arch)},
              {"cores", std::int64_t{std::thread::hardware_concurrency()}},
              {"threads", std::int64_t{thread_count()}},
              {"train_images", data_.train.size()},
              {"test_images", data_.test.size()},
              {"command", command_line()}};
    if (start.seed) facts_.emplace_back("seed", *start.seed);
    for (const char* name : {"PERCH_FORCE_ARCH", "PERCH_FUSE", "PERCH_INTEGER"}) {
      if (const char* const value = std::getenv(name))
        facts_.emplace_back(name, std::string(value));
    }
    folder_->write_environment(facts_);
  }

  void on_batch_end(Trainer&, const BatchResult&) override { sum_up(); }
  void on_epoch_end(Trainer&, const EpochResult&) override {
    using namespace std::chrono_literals;
    sum_up();  // a training that is resumed behind an epoch's last step has no step before this
    if (!complete_ && checksum_.wait_for(0s) == std::future_status::ready) finish();
  }

  /// Begins to sum up the images, on another thread.
  void sum_up() {
    if (std::exchange(begun_, true)) return;
    checksum_ = std::async(std::launch::async, [data = data_] { return data_checksum(data); });
  }
  /// Waits for what is still missing. Throws Error(interrupted) where the images are not summed up
  /// in time; a later call begins anew.
  void finish() {
    if (complete_) return;
    sum_up();
    begun_ = false;
    facts_.emplace_back("data_checksum", checksum_.get());
    begun_ = complete_ = true;
    // The library is loaded with other environment variables for a moment: not beside a thread
    // that may read them.
    const blas::Backend& backend = blas::backend();
    facts_.emplace_back("blas", "OpenBLAS " + backend.version);
    facts_.emplace_back("blas_core", backend.core);
    folder_->write_environment(facts_);
  }

 private:
  std::shared_ptr<io::RunFolder> folder_;
  TrainTest data_;
  io::RunFacts facts_;
  std::future<std::string> checksum_;
  bool begun_ = false, complete_ = false;
};

namespace {

constexpr const char* state_of_run = "run";

/// Of the run that this state was saved in; empty where it had no folder.
fs::path former_path(const TrainingState* state) {
  if (state == nullptr) return {};
  const auto found = state->values.find(fmt::format("callbacks/{}/path", state_of_run));
  return found == state->values.end() ? fs::path() : fs::path(found->second);
}

}  // namespace

/// Opens the folder when training begins, and tells the others from then on.
class RunRecord::Recording final : public Callback {
 public:
  explicit Recording(RunRecord& record) : record_(record) {}

  /// Where the run is, for a training that goes on with it.
  std::string state_name() const override { return state_of_run; }
  void visit(Visitor& visitor) override {
    std::string path = record_.path();
    if (!path.empty()) path = fs::absolute(path).string();
    visitor.config("path", path);
  }

  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    recorder_.reset();
    record_.open(static_cast<std::int64_t>(plan.epochs_done.size()));
    recorder_ = io::run_recorder(record_.folder_);
    recorder_->on_train_begin(trainer, plan);
  }
  void on_batch_end(Trainer& trainer, const BatchResult& result) override {
    record_.environment_->on_batch_end(trainer, result);
  }
  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    try {
      recorder_->on_epoch_end(trainer, result);
      record_.environment_->on_epoch_end(trainer, result);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::interrupted) return;  // the training sees to it
      // The training is worth more than its record.
      if (record_.failure_.empty()) warn(error.what());
      record_.failure_ = error.what();
    }
  }
  void on_train_end(Trainer& trainer) override { recorder_->on_train_end(trainer); }

 private:
  RunRecord& record_;
  CallbackPtr recorder_;
};

void RunRecord::prepare(const std::optional<fs::path>& parent, RunStart start,
                        std::vector<CallbackPtr>& callbacks) {
  if (!parent) return;
  parent_ = parent;
  start_ = std::move(start);
  callbacks.push_back(std::make_shared<Recording>(*this));
}

void RunRecord::begin(const std::optional<fs::path>& parent, RunStart start) {
  if (!parent) return;
  parent_ = parent;
  start_ = std::move(start);
  open(0);
  environment_->sum_up();
}

void RunRecord::log(const std::string& line) {
  if (folder_ != nullptr) folder_->log(line);
}

std::string RunRecord::name() const {
  return fs::path(start_.name).filename().string();
}

/// A checkpoint may come from another training, or from somebody else.
bool RunRecord::is_of_this_run(const fs::path& folder) const {
  std::error_code ignored;
  return !folder.empty() && folder.filename().string().starts_with(name() + "-") &&
         fs::exists(folder / "status.json", ignored) &&
         fs::equivalent(folder.parent_path(), *parent_, ignored);
}

void RunRecord::check_written() const {
  if (!failure_.empty()) {
    perch::fail(ErrorCode::io, "the model is saved, but the run's folder is not complete: {}",
                failure_);
  }
}

void RunRecord::open(std::int64_t epochs_done) {
  begin_ = std::chrono::steady_clock::now();
  const fs::path own = folder_ != nullptr ? folder_->path() : fs::path();
  environment_.reset();
  folder_.reset();
  const fs::path former = own.empty() ? former_path(start_.resumed.get()) : own;
  if (is_of_this_run(former)) {
    try {
      folder_ = io::RunFolder::reopen(former, epochs_done);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::bad_data) throw;
      warn(fmt::format("{}; the run gets a new folder", error.what()));
    }
  }
  if (folder_ == nullptr) folder_ = io::RunFolder::create(*parent_, name());
  const std::string command = command_line();
  folder_->log(command);
  io::RunStatus status = folder_->status();
  if (status.started.empty()) status.started = io::utc_now();
  status.epochs = start_.epochs;
  status.state = io::RunState::running;
  status.message.clear();
  folder_->set_status(status);
  // A configuration's keys above the tables are train's.
  const std::string name = command_.get_name();
  folder_->write_config(command, run_settings(command_, start_.resolved),
                        name == "train" ? "" : name);
  environment_ = std::make_shared<Environment>(folder_, start_);
}

void RunRecord::end(const fs::path& model, const std::optional<Evaluation>& test, double seconds,
                    const std::optional<Evaluation>& before) {
  if (!parent_) return;
  if (folder_ == nullptr) open(0);
  environment_->finish();
  folder_->keep(model);
  folder_->link_checkpoints(start_.checkpoints);
  io::RunStatus status = folder_->status();
  status.state = io::RunState::complete;
  status.ended = io::utc_now();
  status.seconds = seconds;
  status.model = model.filename().string();
  const auto note = [&](const char* name, const Evaluation& found, std::optional<double>& loss,
                        std::optional<double>& accuracy) {
    loss = found.loss;
    accuracy = found.accuracy;
    folder_->log(fmt::format("{}: loss {:.4f}, accuracy {:.2f} %", name, found.loss,
                             100.0 * found.accuracy));
  };
  if (before) note("float test", *before, status.float_test_loss, status.float_test_accuracy);
  if (test) note("test", *test, status.test_loss, status.test_accuracy);
  folder_->log(fmt::format("saved: {}; {:.1f} s", model.string(), seconds));
  folder_->set_status(status);
}

void RunRecord::watch(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    fail(error.code() == ErrorCode::interrupted ? io::RunState::interrupted : io::RunState::failed,
         error.what());
    throw;
  } catch (const std::exception& error) {
    fail(io::RunState::failed, error.what());
    throw;
  }
}

void RunRecord::fail(io::RunState state, const std::string& message) noexcept {
  if (folder_ == nullptr) return;
  // The error that is on its way matters more than a folder that does not take it.
  try {
    folder_->log(fmt::format("{}: {}", io::name_of(state), message));
    folder_->link_checkpoints(start_.checkpoints);
    io::RunStatus status = folder_->status();
    status.state = state;
    status.message = message;
    status.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    status.ended = io::utc_now();
    folder_->set_status(status);
    if (environment_ != nullptr) environment_->finish();
  } catch (const std::exception&) {
    return;
  }
}

std::string RunRecord::path() const {
  return folder_ == nullptr ? std::string() : folder_->path().string();
}
