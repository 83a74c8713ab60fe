// Runs of commands, several side by side: each command is this program in a process of its own.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/experiments/command.h>

#include "child_process.h"
#include "json_output.h"

/// That is not empty: where a command's errors went to, why it failed.
std::string last_line(const std::filesystem::path& file);

/// Commands one after the other, with one log.
class Run {
 public:
  Run(std::filesystem::path folder, std::string name)
      : folder_(std::move(folder)), name_(std::move(name)) {}
  virtual ~Run() = default;

  const std::string& name() const { return name_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path log() const { return folder_ / "log.txt"; }
  /// The next command; nothing when all is done.
  virtual std::optional<perch::experiments::Arguments> next() = 0;
  virtual void take(const Json& event) = 0;
  /// After the last command, or the one that failed; empty: none did.
  virtual void end(const std::string& failure, double seconds) = 0;

 private:
  std::filesystem::path folder_;
  std::string name_;
};

/// Up to so many runs at once.
class RunPool {
 public:
  using Clock = std::chrono::steady_clock;
  using Said = std::function<void(Run&, const Json&)>;

  /// Commands run in `folder`.
  RunPool(std::filesystem::path folder, int places) : folder_(std::move(folder)), places_(places) {}

  /// Runs all; `said` hears their events, `ended` what came of them. Throws Error(interrupted) when
  /// SIGINT or SIGTERM came, which those that run have been told of, and Error(cannot_create).
  void run(std::deque<std::unique_ptr<Run>> waiting, const Said& said,
           const std::function<void(Run&, bool failed)>& ended);

 private:
  struct Place {
    std::unique_ptr<Run> run;
    std::unique_ptr<ChildProcess> process;
    Clock::time_point start;
    bool silent = false;  // its output has ended
  };

  void begin(std::unique_ptr<Run> run);
  void hear(const Said& said);
  bool go_on(Place& place, const std::function<void(Run&, bool)>& ended);

  std::filesystem::path folder_;
  int places_;
  std::vector<Place> places_taken_;
};
